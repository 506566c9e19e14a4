"""From windows to finished strips: a model predicts the rows of windows of a scene."""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.imagery.bands import is_bgr
from mmseg.raster.products import Products
from mmseg.raster.strips import FULL, NODATA
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


def predict(model: SceneModel, windows: np.ndarray) -> Tensor:
    """Return the probabilities (B, K, h, w), float32, of windows (B, C, h, w).

    They are resampled to the size of the training crop. The bands are in the order of the training
    images: 8-bit images are RGB if these have no other. The result is on the model's device.
    """
    images, meta = torch.from_numpy(windows), model.dataset_meta
    if is_bgr(meta.get("bands"), meta.get("bits", "uint8")):
        images = images.flip(1)
    size, crop_size = tuple(images.shape[2:]), tuple(model.data_preprocessor.size)
    if size != crop_size:
        images = F.interpolate(images.float(), crop_size, mode="bilinear", antialias=True)
    data = {"inputs": list(images), "data_samples": [None] * len(images)}
    logits = model.full_logits(torch.stack(model.data_preprocessor(data)["inputs"]))
    probabilities = logits[:, :, : crop_size[0], : crop_size[1]].float().softmax(1)  # no padding
    if size != crop_size:
        probabilities = F.interpolate(probabilities, size, mode="bilinear")
    return probabilities


class StripMapper:
    """Maps strips of one scene with one model."""

    def __init__(self, model: SceneModel, products: Products) -> None:
        self.model, self.ground, self.layers = model, products.ground, [*products.layers]
        self.unfinished, self.seconds = products.unfinished, 0.0  # that the model took
        self.batch_size = products.options.batch_size or 1
        self.rows, self.columns = self.ground.rows, self.ground.columns
        device = next(iter(model.parameters())).device
        self.blender = RowBlender(model.decode_head.num_classes, self.rows, self.columns, device)

    @torch.inference_mode()
    def map(self, strips: Collection[int], progress: Progress) -> None:
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
                    bands = self._finish(row, valid)
                    if done is not None:
                        done.result()
                    done = writer.submit(self.unfinished.write, row, bands)
                self.blender.next_row()
                progress(number * self.columns.count, len(rows) * self.columns.count)
            if done is not None:
                done.result()

    def _read(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a row of windows, (C, size, covered), and which pixels to map, bool (size, covered).

        The image is reflected beyond the border of the scene.
        """
        top, size = self.rows.starts[row], self.rows.size
        image, valid = self.ground.read(top, min(top + size, self.rows.length))
        missing = (0, size - len(valid)), (0, self.columns.covered - self.columns.length)
        return np.pad(image, ((0, 0), *missing), mode="reflect"), np.pad(valid, missing)

    def _predict(self, row: int, image: np.ndarray, valid: np.ndarray) -> None:
        """Blend a row of windows. Windows without a pixel to map are skipped.

        A batch holds windows of one row: batches are the same wherever a run begins.
        """
        places = [slice(start, start + self.columns.size) for start in self.columns.starts]
        active = [index for index, place in enumerate(places) if valid[:, place].any()]
        for first in range(0, len(active), self.batch_size):
            batch = active[first : first + self.batch_size]
            start = perf_counter()
            found = predict(self.model, np.stack([image[:, :, places[c]] for c in batch]))
            if found.is_cuda:
                torch.cuda.synchronize(found.device)  # kernels are only launched before this
            self.seconds += perf_counter() - start
            for column, probabilities in zip(batch, found, strict=True):
                self.blender.add(row, column, probabilities)

    def _finish(self, row: int, valid: np.ndarray) -> np.ndarray:
        """Turn a finished strip into uint8 (bands, rows, W), nodata where not `valid`.

        These are class ids, and probabilities as 0 to `FULL`.
        """
        parts = []
        for probabilities in self.blender.strip(row).split(CHUNK, dim=1):
            highest, ids = probabilities.max(0, keepdim=True)
            found = {"confidence": highest, "probabilities": probabilities}
            bands = [ids, *((found[layer] * FULL).round() for layer in self.layers[1:])]
            parts.append(torch.cat([band.to(torch.uint8) for band in bands]).cpu().numpy())
        strip = np.concatenate(parts, axis=1)
        strip[:, ~valid[: strip.shape[1], : strip.shape[2]]] = NODATA
        return strip
