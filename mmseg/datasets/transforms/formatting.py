"""From arrays to what the loader hands to the model."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

META_KEYS = (
    *("img_path", "seg_map_path", "ori_shape", "img_shape", "flip", "flip_direction"),
    "reduce_zero_label",
)


@TRANSFORMS.register_module()
class PackSegInputs(BaseTransform):
    """Make `inputs`, (3, H, W) uint8, and `data_samples`, a `SegDataSample` with the labels."""

    def transform(self, results: dict) -> dict:
        image = np.ascontiguousarray(results["img"].transpose(2, 0, 1))
        sample = SegDataSample(metainfo={k: results[k] for k in META_KEYS if k in results})
        if "gt_seg_map" in results:
            labels = np.ascontiguousarray(results["gt_seg_map"])[None]
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(labels))
        return {"inputs": torch.from_numpy(image), "data_samples": sample}
