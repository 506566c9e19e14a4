"""Class probabilities of windows, by the model as it is tested."""

from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.errors import UserError


class SceneModel(Protocol):
    """The part of a model that mapping uses. `mmseg.apis.init_model` returns such a model.

    `full_logits` turns normalised images (B, 3, H, W) into logits (B, K, H, W). `parameters` are on
    the device that computes. `state_dict` and `cfg.model` tell one model from another.
    """

    data_preprocessor: Any  # normalises BGR images; `size` is the crop of the training
    decode_head: Any  # `num_classes`
    dataset_meta: Any  # `classes`, `palette` and, for the truth, `reduce_zero_label`
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
                "the config names no training crop: set model.data_preprocessor.size=(height,width)"
            )
        self.crop_size: tuple[int, int] = tuple(size)

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> Tensor:
        """uint8 RGB (B, 3, h, w) -> probabilities (B, K, h, w), float32, on the model's device."""
        bgr = torch.from_numpy(windows).flip(1)
        size = tuple(bgr.shape[2:])
        is_resampled = size != self.crop_size
        if is_resampled:
            bgr = F.interpolate(bgr.float(), self.crop_size, mode="bilinear", antialias=True)
        height, width = self.crop_size
        start = perf_counter()
        data = {"inputs": list(bgr), "data_samples": [None] * len(bgr)}
        x = torch.stack(self.model.data_preprocessor(data)["inputs"])
        logits = self.model.full_logits(x)[:, :, :height, :width].float()  # without padding
        if x.is_cuda:
            torch.cuda.synchronize(x.device)  # kernels are only launched before this
        self.seconds += perf_counter() - start
        probabilities = logits.softmax(1)
        if is_resampled:
            probabilities = F.interpolate(probabilities, size, mode="bilinear")
        return probabilities
