"""From the loader's uint8 images to the network's input, on the device."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import PixelData
from torch import Tensor

from mmseg.errors import UserError
from mmseg.ops.photometric import distort
from mmseg.registry import MODELS, Deviations, Means
from mmseg.structures import stack_batch

# Those of ImageNet's photos.
GREY_MEAN, GREY_STD = 116.0, 57.0


@MODELS.register_module()
class SegDataPreProcessor(BaseDataPreprocessor):
    """Normalise images; in training, also pad images and labels to `size` and stack them.

    Takes `inputs`, a list of (C, H, W) tensors, uint8 BGR or of other bands and bits, and
    `data_samples`; in training it also takes a batch of `stack_batch`. Without `mean` and `std`
    images of three bands keep their values. In training, colours change as the `distortion` of each
    sample says (`PhotoMetricDistortion`). Padding comes after normalising, so it has the mean
    colour (0); padded labels are `seg_pad_val`. In testing the images keep their sizes, because
    padding changes the global context of every pixel.
    `test_cfg=dict(size_divisor=32)` pads them as MMSegmentation 1.x does.
    """

    def __init__(
        self,
        mean: Means | None = None,
        std: Deviations | None = None,
        size: tuple[int, int] | None = None,
        bgr_to_rgb: bool = True,
        seg_pad_val: int = 255,
        test_cfg: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(non_blocking=True)
        if (mean is None) != (std is None):
            raise UserError("model.data_preprocessor: give both mean and std, or none of them")
        for name, values in (("mean", mean or (0, 0, 0)), ("std", std or (1, 1, 1))):
            tensor = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)
        self.size = size
        self.bgr_to_rgb = bgr_to_rgb
        self.seg_pad_val = seg_pad_val
        if unknown := set(test_cfg or {}) - {"size_divisor"}:
            raise UserError(f"data_preprocessor.test_cfg has {sorted(unknown)}: only size_divisor")
        self.test_divisor = (test_cfg or {}).get("size_divisor") or 1

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return `inputs`, (B, C, H, W) in training and a list of (C, H, W) in testing, float32."""
        if training:
            return self._training_batch(data)
        data = self.cast_data(data)
        inputs, divisor = [], self.test_divisor
        for image in data["inputs"]:
            self._check_bands(image.shape[0])
            image = image.flip(0) if self.bgr_to_rgb else image
            image = (image.float() - self.mean) / self.std
            height, width = (math.ceil(side / divisor) * divisor for side in image.shape[1:])
            inputs.append(pad_to(image, height, width, 0))
        return {"inputs": inputs, "data_samples": data["data_samples"]}

    def _training_batch(self, data: dict) -> dict:
        if "labels" not in data:  # as mmengine's collation and MMSegmentation leave it
            data = self.cast_data(data)
            pairs = zip(data["inputs"], data["data_samples"], strict=True)
            data = stack_batch([{"inputs": x, "data_samples": sample} for x, sample in pairs])
        images, labels = (
            data[key].to(self.device, non_blocking=True) for key in ("inputs", "labels")
        )
        samples, sizes = data["data_samples"], data["sizes"]
        height, width = size = self.size or tuple(images.shape[2:])
        labels = pad_to(labels, height, width, self.seg_pad_val)
        self._check_bands(images.shape[1])
        batch = self.mean.new_zeros(len(images), images.shape[1], *size)
        inside = batch[..., : images.shape[2], : images.shape[3]]
        inside.copy_(images.flip(1) if self.bgr_to_rgb else images)
        draws = [sample.get("distortion", {}) for sample in samples]
        rgb = draws[0].get("rgb", (0, 1, 2) if self.bgr_to_rgb else (2, 1, 0))
        if images.dtype == torch.uint8:
            distort(batch, draws, rgb)
            batch.sub_(self.mean).div_(self.std)
        else:  # the draws are in grey levels, as of a photo of this mean and deviation
            batch.sub_(self.mean).div_(self.std).mul_(GREY_STD).add_(GREY_MEAN)
            distort(batch, draws, rgb, bounded=False)
            batch.sub_(GREY_MEAN).div_(GREY_STD)
        for sample, image, label, (h, w) in zip(samples, batch, labels, sizes, strict=True):
            image[:, h:] = image[:, :, w:] = 0
            label[:, h:] = label[:, :, w:] = self.seg_pad_val
            sample.gt_sem_seg = PixelData(data=label)
        return {"inputs": batch, "data_samples": samples}

    def _check_bands(self, found: int) -> None:
        if found != len(self.mean):
            raise UserError(
                f"the images have {found} bands, model.data_preprocessor.mean and std have "
                f"{len(self.mean)}: give a value for each band"
            )


def pad_to(x: Tensor, height: int, width: int, value: float) -> Tensor:
    """Pad (C, h, w) at the right and the bottom to (C, height, width)."""
    if x.shape[-2] > height or x.shape[-1] > width:
        raise UserError(
            f"model.data_preprocessor.size=({height}, {width}) is smaller than the training images "
            f"of {x.shape[-2]}x{x.shape[-1]} pixels: set it and the step that crops to one size"
        )
    if x.shape[-2:] == (height, width):
        return x
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]), value=value)
