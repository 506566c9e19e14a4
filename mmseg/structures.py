"""What travels through a training and a prediction: samples, and batches of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor
from torch.utils.data import default_collate

from mmseg.errors import UserError

MAPS = {"gt_sem_seg": "(1, H, W)", "pred_sem_seg": "(1, H, W)", "seg_logits": "(K, H, W)"}


class SegDataSample(BaseDataElement):
    """Ground truth, prediction and metadata of one image.

    `gt_sem_seg.data` and `pred_sem_seg.data` are (1, H, W) uint8 maps of train ids, 255 = ignored.
    Metadata: `img_path`, `seg_map_path`, `ori_shape` and `img_shape` (H, W), `flip`,
    `flip_direction`, `reduce_zero_label`.
    """

    gt_sem_seg: PixelData
    pred_sem_seg: PixelData

    def __setattr__(self, name: str, value: Any) -> None:
        if name in MAPS and not isinstance(value, PixelData):
            what = f"sample.{name} is a {type(value).__name__}"
            raise UserError(f"{what}: set it to PixelData(data=...), {MAPS[name]}")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        hint = ": predict with inference_model(..., with_logits=True)" * (name == "seg_logits")
        raise AttributeError(f"the sample has no {name}{hint}")

    def pin_memory(self) -> "SegDataSample":
        """Return the sample with its labels in pinned memory, which a GPU copies on its own."""
        if "gt_sem_seg" not in self:
            return self
        pinned = self.new()
        pinned.gt_sem_seg = PixelData(data=self.gt_sem_seg.data.pin_memory())
        return pinned


def stack_batch(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack the uint8 `inputs` (3, h, w) and labels (1, h, w) of B training samples.

    A loader's worker hands over two large tensors in an eighth of the time of 2 B small ones.
    Returns `inputs` (B, 3, H, W), `labels` (B, 1, H, W), `sizes` and `data_samples`. H and W are
    the largest height and width; images are padded at the right and the bottom with 0, labels with
    255. `sizes` holds each (h, w) before padding. The labels are removed from `data_samples`.
    Channels lie last in memory, as in the samples. Raises `UserError` for a sample without labels
    or with labels of another size than its image.
    """
    images = [sample["inputs"] for sample in samples]
    labelled = [sample["data_samples"] for sample in samples]
    for image, sample in zip(images, labelled, strict=True):
        path = sample.get("img_path", "a sample")
        if "gt_sem_seg" not in sample:
            raise UserError(f"{path}: has no labels; add LoadAnnotations to the training pipeline")
        if sample.gt_sem_seg.shape != image.shape[1:]:
            raise UserError(
                f"{path}: after the training pipeline the image is {tuple(image.shape[1:])} and "
                f"its labels {tuple(sample.gt_sem_seg.shape)}: a step changes only one of them"
            )
    return {
        "inputs": _stack(images, 0),
        "labels": _stack([sample.pop("gt_sem_seg").data for sample in labelled], 255),
        "sizes": [tuple(image.shape[1:]) for image in images],
        "data_samples": labelled,
    }


def _stack(maps: Sequence[Tensor], value: int) -> Tensor:
    height, width = (max(x.shape[axis] for x in maps) for axis in (1, 2))
    pixels = []
    for x in maps:
        sides = (0, 0, 0, width - x.shape[2], 0, height - x.shape[1])
        x = x.permute(1, 2, 0)
        pixels.append(F.pad(x, sides, value=value) if any(sides) else x)
    # In a worker, torch's own function writes into memory that the training process shares.
    return default_collate(pixels).permute(0, 3, 1, 2)
