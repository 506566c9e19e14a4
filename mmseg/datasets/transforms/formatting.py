"""Make the tensors and samples that a loader gives to the model."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mmseg.errors import UserError
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

META_KEYS = (
    *("img_path", "seg_map_path", "ori_shape", "img_shape", "flip", "flip_direction"),
    *("reduce_zero_label", "distortion"),
)


@TRANSFORMS.register_module()
class PackSegInputs(BaseTransform):
    """Make `inputs`, (3, H, W) uint8, and `data_samples`, a `SegDataSample` with the labels.

    An array is copied only if it is read-only or not contiguous. The channels lie last in memory,
    as in the image. Raises `UserError` for an image or labels that a transform has made unfit.
    """

    def transform(self, results: dict) -> dict:
        image = np.require(results["img"], requirements=("C", "W"))
        if image.ndim != 3 or image.shape[2] != 3:
            raise _unfit(results, f"the image {image.shape}, not (height, width, 3)")
        sample = SegDataSample()
        for key in META_KEYS:
            if key in results:
                sample.set_field(results[key], key, field_type="metainfo")
        if "gt_seg_map" in results:
            labels = np.require(results["gt_seg_map"], requirements=("C", "W"))[None]
            if labels.dtype.kind not in "iu":
                raise _unfit(results, f"the labels {labels.dtype}; resize them by 'nearest'")
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(labels))
        return {"inputs": torch.from_numpy(image).permute(2, 0, 1), "data_samples": sample}


def _unfit(results: dict, what: str) -> UserError:
    return UserError(f"{results.get('img_path')}: a transform of the pipeline has made {what}")
