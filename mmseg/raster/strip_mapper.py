"""From windows to finished strips: a model predicts the rows of windows of a scene."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.errors import UserError
from mmseg.imagery.bands import is_bgr
from mmseg.raster.cog import FULL, NODATA
from mmseg.raster.sheets import Ground
from mmseg.raster.unfinished import UnfinishedMap
from mmseg.raster.windows import RowBlender

Progress = Callable[[int, int], None]
"""Called with the number of windows that are done and the number of all windows."""

# Rows turned into class ids at a time: the ids are int64 at first, eight times their final size.
CHUNK = 32


class SceneModel(Protocol):
    """The part of a model of `mmseg.apis.init_model` that mapping uses.

    `full_logits` turns normalised images (B, C, H, W) into logits (B, K, H, W). `parameters` are on
    the device that computes. `state_dict` and `cfg.model` tell one model from another. `runs_in`,
    if it is there, says what runs the network instead of torch.
    """

    data_preprocessor: Any  # normalises BGR images; `size` is the crop of the training
    decode_head: Any  # `num_classes`
    dataset_meta: Any  # `classes`, `palette`; `bands`, `bits`, `gsd`; `reduce_zero_label`
    cfg: Any

    def full_logits(self, x: Tensor) -> Tensor: ...
    def parameters(self) -> Iterator[Tensor]: ...
    def state_dict(self) -> Mapping[str, Tensor]: ...


class WindowPredictor:
    """Predict batches of windows, resampled to the crop size the model was trained with.

    `seconds` is the time that the model took.
    """

    def __init__(self, model: SceneModel) -> None:
        self.model = model
        self.seconds = 0.0
        self.num_classes: int = model.decode_head.num_classes
        self.device = next(iter(model.parameters())).device
        size = getattr(model.data_preprocessor, "size", None)
        if size is None:
            raise UserError(
                "the config lacks the crop: model.data_preprocessor.size=(height,width)"
            )
        self.crop_size: tuple[int, int] = tuple(size)

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> Tensor:
        """(B, C, h, w) -> probabilities (B, K, h, w), float32, on the model's device.

        The bands are in the order of the training images: 8-bit images are RGB if it has no other.
        """
        images = torch.from_numpy(windows)
        meta = self.model.dataset_meta
        if is_bgr(meta.get("bands"), meta.get("bits", "uint8")):
            images = images.flip(1)
        size = tuple(images.shape[2:])
        is_resampled = size != self.crop_size
        if is_resampled:
            images = F.interpolate(images.float(), self.crop_size, mode="bilinear", antialias=True)
        height, width = self.crop_size
        start = perf_counter()
        data = {"inputs": list(images), "data_samples": [None] * len(images)}
        x = torch.stack(self.model.data_preprocessor(data)["inputs"])
        logits = self.model.full_logits(x)[:, :, :height, :width].float()  # without padding
        if x.is_cuda:
            torch.cuda.synchronize(x.device)  # kernels are only launched before this
        self.seconds += perf_counter() - start
        probabilities = logits.softmax(1)
        if is_resampled:
            probabilities = F.interpolate(probabilities, size, mode="bilinear")
        return probabilities


class StripMapper:
    """Maps strips of one scene with one model; a batch holds `batch_size` windows."""

    def __init__(
        self,
        ground: Ground,
        predictor: WindowPredictor,
        batch_size: int,
        unfinished: UnfinishedMap,
    ) -> None:
        self.ground, self.predictor, self.batch_size = ground, predictor, batch_size
        self.rows, self.columns = ground.rows, ground.columns
        self.unfinished = unfinished
        self.blender = RowBlender(predictor.num_classes, self.rows, self.columns, predictor.device)

    @torch.inference_mode()
    def map(self, strips: Sequence[int], progress: Progress) -> None:
        """Write strips to the unfinished map.

        The lower half of the row of windows before is a part of a strip: this row is predicted
        again if its own strip is not wanted. While the model works, one thread reads the next row,
        and another one writes the strip before.
        """
        rows = sorted({*strips, *(strip - 1 for strip in strips if strip > 0)})
        done: Future | None = None
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            reading = [reader.submit(self._read, row) for row in rows[:1]]
            for number, row in enumerate(rows, start=1):
                image, valid = reading.pop().result()
                reading += [reader.submit(self._read, following) for following in rows[number:][:1]]
                self._predict(row, image, valid)
                if row in strips:
                    layers = self._finish(row, valid)
                    if done is not None:
                        done.result()
                    done = writer.submit(self.unfinished.write, row, layers)
                self.blender.next_row()
                progress(number * self.columns.count, len(rows) * self.columns.count)
            if done is not None:
                done.result()

    def _read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a row of windows, (C, size, covered), and which pixels to map, bool (size, covered).

        The image is reflected beyond the border of the scene.
        """
        rows, columns = self.rows, self.columns
        top = rows.starts[row]
        image, valid = self.ground.read(top, min(top + rows.size, rows.length))
        below, beside = rows.size - image.shape[1], columns.covered - columns.length
        image = np.pad(image, ((0, 0), (0, below), (0, beside)), mode="reflect")
        return image, np.pad(valid, ((0, below), (0, beside)))

    def _predict(self, row: int, image: np.ndarray, valid: np.ndarray) -> None:
        """Blend a row of windows. Windows without a pixel to map are skipped.

        A batch holds windows of one row: batches are the same wherever a run begins.
        """
        places = [slice(start, start + self.columns.size) for start in self.columns.starts]
        active = [index for index, place in enumerate(places) if valid[:, place].any()]
        for first in range(0, len(active), self.batch_size):
            batch = active[first : first + self.batch_size]
            probabilities = self.predictor(np.stack([image[:, :, places[c]] for c in batch]))
            for column, window in zip(batch, probabilities, strict=True):
                self.blender.add(row, column, window)

    def _finish(self, row: int, valid: np.ndarray) -> dict[str, np.ndarray]:
        """Turn a finished strip into uint8 layers (bands, rows, W), nodata where not `valid`."""
        parts = [self._layers(part) for part in self.blender.strip(row).split(CHUNK, dim=1)]
        layers = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
        for layer in layers.values():
            layer[:, ~valid[: layer.shape[1], : layer.shape[2]]] = NODATA
        return layers

    def _layers(self, probabilities: Tensor) -> dict[str, np.ndarray]:
        """(K, rows, W) -> uint8 (bands, rows, W): class ids, and probabilities as 0 to `FULL`."""
        highest, ids = probabilities.max(0, keepdim=True)
        layers = {"landcover": ids}
        if "confidence" in self.unfinished.layers:
            layers["confidence"] = (highest * FULL).round()
        if "probabilities" in self.unfinished.layers:
            layers["probabilities"] = (probabilities * FULL).round()
        return {name: values.to(torch.uint8).cpu().numpy() for name, values in layers.items()}
