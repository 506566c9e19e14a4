"""What travels with an image: its labels, its prediction and where it came from; and batches."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor
from torch.utils.data import default_collate

from mmseg.errors import UserError


class SegDataSample(BaseDataElement):
    """Ground truth, prediction and metadata of one image.

    `gt_sem_seg.data` and `pred_sem_seg.data` are (1, H, W) uint8 maps of train ids, 255 = ignored.
    Metadata: `img_path`, `seg_map_path`, `ori_shape` and `img_shape` (H, W), `flip`,
    `flip_direction`, `reduce_zero_label`.
    """

    gt_sem_seg: PixelData
    pred_sem_seg: PixelData

    def pin_memory(self) -> "SegDataSample":
        """Return the sample with labels in memory that a GPU copies while the program goes on."""
        if "gt_sem_seg" not in self:
            return self
        pinned = self.new()
        pinned.gt_sem_seg = PixelData(data=self.gt_sem_seg.data.pin_memory())
        return pinned


def stack_batch(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack the `inputs` (3, h, w) and the labels (1, h, w) of training samples, uint8.

    Two tensors go from a loader's worker to the training in an eighth of the time of one per image
    and one per label. Returns `inputs` (B, 3, H, W) and `labels` (B, 1, H, W), padded at the right
    and the bottom to the largest, with 0 and 255; their `sizes` (h, w) before; and `data_samples`,
    from which the labels are taken. Channels lie last in memory, as in the samples.
    """
    images = [sample["inputs"] for sample in samples]
    labelled = [sample["data_samples"] for sample in samples]
    for image, sample in zip(images, labelled, strict=True):
        _check_labels(image, sample)
    return {
        "inputs": _stack(images, 0),
        "labels": _stack([sample.pop("gt_sem_seg").data for sample in labelled], 255),
        "sizes": [tuple(image.shape[1:]) for image in images],
        "data_samples": labelled,
    }


def _check_labels(image: Tensor, sample: SegDataSample) -> None:
    path = sample.get("img_path", "a sample")
    if "gt_sem_seg" not in sample:
        raise UserError(f"{path}: has no labels; add LoadAnnotations to the training pipeline")
    if sample.gt_sem_seg.shape != image.shape[1:]:
        raise UserError(
            f"{path}: after the training pipeline the image is {tuple(image.shape[1:])} and its "
            f"labels {tuple(sample.gt_sem_seg.shape)}: a step changes only one of them"
        )


def _stack(maps: Sequence[Tensor], value: int) -> Tensor:
    height, width = (max(x.shape[axis] for x in maps) for axis in (1, 2))
    pixels = [
        _pad(x.permute(1, 2, 0), (0, 0, 0, width - x.shape[2], 0, height - x.shape[1]), value)
        for x in maps
    ]
    # torch's own function: in a worker it writes into memory that the training process shares.
    return default_collate(pixels).permute(0, 3, 1, 2)


def _pad(x: Tensor, sides: tuple[int, ...], value: int) -> Tensor:
    return F.pad(x, sides, value=value) if any(sides) else x
