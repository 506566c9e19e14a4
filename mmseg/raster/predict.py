"""Class probabilities of windows, by the model as it is tested."""

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.errors import UserError
from mmseg.raster.clock import Clock

if TYPE_CHECKING:
    # What maps knows nothing of models but how to call them.
    from mmseg.models import EncoderDecoder


class WindowPredictor:
    """Predict batches of windows, resampled to the crop size the model was trained with."""

    def __init__(self, model: "EncoderDecoder", clock: Clock) -> None:
        self.model = model
        self.clock = clock
        self.num_classes: int = model.decode_head.num_classes
        size = getattr(model.data_preprocessor, "size", None)
        if size is None:
            raise UserError(
                "the config names no training crop: set model.data_preprocessor.size=(height,width)"
            )
        self.crop_size: tuple[int, int] = tuple(size)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @torch.inference_mode()
    def __call__(self, windows: np.ndarray) -> Tensor:
        """uint8 RGB (B, 3, h, w) -> probabilities (B, K, h, w), float32, on the model's device."""
        bgr = torch.from_numpy(windows).flip(1)
        size = bgr.shape[2:]
        if tuple(size) != self.crop_size:
            bgr = F.interpolate(bgr.float(), self.crop_size, mode="bilinear", antialias=True)
        with self.clock("model"):
            data = {"inputs": list(bgr), "data_samples": [None] * len(bgr)}
            x = torch.stack(self.model.data_preprocessor(data)["inputs"])
            logits = self.model.full_logits(x).float()
            logits = logits[:, :, : self.crop_size[0], : self.crop_size[1]]  # without padding
            if x.is_cuda:
                torch.cuda.synchronize(x.device)  # or the time would be that of launching kernels
        with self.clock("blending"):
            return self._to_probabilities(logits, size)

    def _to_probabilities(self, logits: Tensor, size: torch.Size) -> Tensor:
        probabilities = logits.softmax(1)
        if tuple(size) != self.crop_size:
            probabilities = F.interpolate(probabilities, size, mode="bilinear")
        return probabilities
