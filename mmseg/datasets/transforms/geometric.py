"""Crop and resize."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmseg.datasets.seg_map import IGNORE_INDEX
from mmseg.registry import TRANSFORMS

CROP_TRIES = 10


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut the same random window of `crop_size` (h, w) from image and labels.

    A window in which one class has `cat_max_ratio` or more of the pixels that are not ignored is
    drawn again, up to ten times. An image smaller than the window is kept whole in that direction.
    """

    def __init__(self, crop_size: tuple[int, int], cat_max_ratio: float = 1.0) -> None:
        self.crop_size = crop_size
        self.cat_max_ratio = cat_max_ratio

    @cache_randomness
    def _window(self, results: dict) -> tuple[slice, slice]:
        height, width = results["img"].shape[:2]
        for _ in range(CROP_TRIES + 1):
            top = np.random.randint(max(height - self.crop_size[0], 0) + 1)
            left = np.random.randint(max(width - self.crop_size[1], 0) + 1)
            window = slice(top, top + self.crop_size[0]), slice(left, left + self.crop_size[1])
            if self.cat_max_ratio >= 1 or self._is_mixed(results["gt_seg_map"][window]):
                break
        return window

    def _is_mixed(self, labels: np.ndarray) -> bool:
        counts = np.bincount(labels.ravel(), minlength=256)
        counts[IGNORE_INDEX] = 0
        return (counts > 0).sum() > 1 and counts.max() < self.cat_max_ratio * counts.sum()

    def transform(self, results: dict) -> dict:
        window = self._window(results)
        results["img"] = results["img"][window]
        results["img_shape"] = results["img"].shape[:2]
        if "gt_seg_map" in results:
            results["gt_seg_map"] = results["gt_seg_map"][window]
        return results


@TRANSFORMS.register_module()
class ResizeToMultiple(BaseTransform):
    """Stretch the image so that both sides are multiples of `size_divisor`, rounded up.

    The official code tests so. Padding instead would change every pixel's prediction, because the
    decoder factorises the whole map.
    """

    def __init__(self, size_divisor: int = 32) -> None:
        self.size_divisor = size_divisor

    def transform(self, results: dict) -> dict:
        image = mmcv.imresize_to_multiple(results["img"], self.size_divisor, scale_factor=1)
        results["img"] = image
        results["img_shape"] = image.shape[:2]
        return results
