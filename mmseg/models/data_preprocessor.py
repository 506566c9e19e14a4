"""From the loader's uint8 images to the network's input, on the device."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import PixelData
from torch import Tensor

from mmseg.errors import UserError
from mmseg.registry import MODELS


@MODELS.register_module()
class SegDataPreProcessor(BaseDataPreprocessor):
    """Normalise images; in training, also pad images and labels to `size` and stack them.

    Takes `inputs`, a list of (3, H, W) uint8 tensors in BGR order, and `data_samples`. Padding
    comes after normalising and so has the mean colour (0); padded labels are `seg_pad_val`. In
    testing the images keep their sizes: padding would change every pixel's global context.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        size: tuple[int, int] | None = None,
        bgr_to_rgb: bool = True,
        seg_pad_val: int = 255,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)
        self.size = size
        self.bgr_to_rgb = bgr_to_rgb
        self.seg_pad_val = seg_pad_val

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return `inputs`, (B, 3, H, W) in training and a list of (3, H, W) in testing, float32."""
        data = self.cast_data(data)
        inputs = [self._normalise(image) for image in data["inputs"]]
        samples = data["data_samples"]
        if not training:
            return {"inputs": inputs, "data_samples": samples}
        height, width = self.size or inputs[0].shape[-2:]
        for sample in samples:
            label = pad_to(sample.gt_sem_seg.data, height, width, self.seg_pad_val)
            sample.gt_sem_seg = PixelData(data=label)
        batch = torch.stack([pad_to(image, height, width, 0) for image in inputs])
        return {"inputs": batch, "data_samples": samples}

    def _normalise(self, image: Tensor) -> Tensor:
        if self.bgr_to_rgb:
            image = image.flip(0)
        return (image.float() - self.mean) / self.std


def pad_to(x: Tensor, height: int, width: int, value: float) -> Tensor:
    """Pad (C, h, w) at the right and the bottom to (C, height, width)."""
    if x.shape[-2] > height or x.shape[-1] > width:
        raise UserError(
            f"model.data_preprocessor.size=({height}, {width}) is smaller than the training images "
            f"of {x.shape[-2]}x{x.shape[-1]} pixels: set both it and RandomCrop to the crop size"
        )
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]), value=value)
