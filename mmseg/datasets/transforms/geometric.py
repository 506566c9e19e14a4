"""Crop, resize and flip."""

from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, RandomFlip, RandomResize
from mmcv.transforms.utils import cache_randomness

from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX
from mmseg.registry import TRANSFORMS

Window = tuple[slice, slice]
"""Rows and columns."""

CROP_TRIES = 10


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut the same random window of `crop_size` (h, w) from image and labels.

    A window is drawn again, up to ten times, if one class has `cat_max_ratio` or more of its pixels
    that are not ignored. An image smaller than the window is kept whole in that direction.
    """

    def __init__(self, crop_size: int | tuple[int, int], cat_max_ratio: float = 1.0) -> None:
        self.crop_size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        if min(self.crop_size) < 1:
            raise UserError(f"RandomCrop.crop_size={crop_size}: give (height, width) above 0")
        self.cat_max_ratio = cat_max_ratio

    @cache_randomness
    def draw(self, size: tuple[int, int], labels: np.ndarray | None) -> Window:
        """Draw a window of an image of `size` (h, w), and of its labels if there are some."""
        for _ in range(CROP_TRIES + 1):
            window = _interval(size[0], self.crop_size[0]), _interval(size[1], self.crop_size[1])
            if self.cat_max_ratio >= 1 or labels is None or self._is_mixed(labels[window]):
                break
        return window

    def _is_mixed(self, labels: np.ndarray) -> bool:
        ids = labels.astype(np.uint8, copy=False)  # own loaders give other integers
        counts = cv2.calcHist([ids], [0], None, [256], [0, 256])
        counts[IGNORE_INDEX] = 0
        most = self.cat_max_ratio * np.sum(counts)
        return bool(np.count_nonzero(counts) > 1 and np.max(counts) < most)

    def transform(self, results: dict) -> dict:
        labels: Any = results.get("gt_seg_map")
        window = self.draw(results["img"].shape[:2], labels)
        results["img"] = results["img"][window]
        results["img_shape"] = results["img"].shape[:2]
        if labels is not None:
            results["gt_seg_map"] = labels[window]
        return results


def _interval(length: int, cut: int) -> slice:
    start = np.random.randint(max(length - cut, 0) + 1)
    return slice(start, min(start + cut, length))


@TRANSFORMS.register_module()
class RandomScaleCropFlip(BaseTransform):
    """RandomResize, RandomCrop and a horizontal RandomFlip in one step that resizes a window only.

    It draws the same random numbers as those three, in their order, so a seed gives the same crop
    and the same labels; the image differs by rounding.

    `scale` is the (width, height) that an image is resized to fit before `ratio_range` counts. None
    means the own size of each image.
    """

    def __init__(
        self,
        scale: tuple[int, int] | None,
        crop_size: tuple[int, int],
        ratio_range: tuple[float, float] = (1.0, 1.0),
        keep_ratio: bool = True,
        cat_max_ratio: float = 1.0,
        flip_prob: float = 0.5,
    ) -> None:
        self.resize = RandomResize(scale and tuple(scale), ratio_range, keep_ratio=keep_ratio)
        self.crop = RandomCrop(crop_size, cat_max_ratio)
        self.flip = RandomFlip(float(flip_prob))
        self.keep_ratio = keep_ratio

    def transform(self, results: dict) -> dict:
        image: np.ndarray = results["img"]
        own, draw = image.shape[1::-1], self.resize._random_sample_ratio
        scale = _at_least_one(draw(self.resize.scale or own, self.resize.ratio_range))
        if self.keep_ratio:
            scale = _at_least_one(mmcv.rescale_size(own, scale))
        labels: Any = results.get("gt_seg_map")
        if labels is not None:
            labels = cv2.resize(labels, scale, interpolation=cv2.INTER_NEAREST)
        size = scale[::-1]
        window = self.crop.draw(size, labels)
        direction = self.flip._choose_direction()
        results["flip"], results["flip_direction"] = direction is not None, direction
        results["img"] = resize_window(image, size, window, flip=results["flip"])
        results["img_shape"] = results["img"].shape[:2]
        if labels is not None:
            labels = np.ascontiguousarray(labels[window])
            results["gt_seg_map"] = cv2.flip(labels, 1) if results["flip"] else labels
        return results


def resize_window(
    image: np.ndarray, size: tuple[int, int], window: Window, flip: bool = False
) -> np.ndarray:
    """Return a window of an (h, w, C) image that is resized bilinearly to `size`, (h, w).

    `flip` mirrors the window.
    """
    down, right = (source / target for source, target in zip(image.shape, size, strict=False))
    rows, columns = window
    top, left = down * (rows.start + 0.5) - 0.5, right * (columns.start + 0.5) - 0.5
    if flip:
        left, right = right * (columns.stop - 0.5) - 0.5, -right
    is_three = image.shape[2] == 3  # OpenCV takes half the time for four channels
    found = cv2.warpAffine(
        cv2.cvtColor(image, cv2.COLOR_BGR2BGRA) if is_three else image,
        np.array([[right, 0, left], [0, down, top]]),
        (columns.stop - columns.start, rows.stop - rows.start),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.cvtColor(found, cv2.COLOR_BGRA2BGR) if is_three else found


def _at_least_one(size: tuple[int, int]) -> tuple[int, int]:
    """Give both sides of a thin image one pixel at least."""
    return max(1, size[0]), max(1, size[1])


@TRANSFORMS.register_module()
class Resize(mmcv.transforms.Resize):
    """mmcv's `Resize`, which leaves the short side of a thin image one pixel at least."""

    def transform(self, results: dict) -> dict:
        scale = self.scale or self.scale_factor[0]
        target = mmcv.rescale_size(results["img"].shape[1::-1], scale)
        if self.keep_ratio and 0 in target:
            exact = mmcv.transforms.Resize(_at_least_one(target), interpolation=self.interpolation)
            return exact(results)
        return super().transform(results)


@TRANSFORMS.register_module()
class RandomTurn(BaseTransform):
    """Turn image and labels by 0, 90, 180 or 270 degrees; not square, by 0 or 180.

    With a random flip before it, all eight positions of an aerial image are equally frequent.
    """

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        turns = np.random.randint(4) if height == width else 2 * np.random.randint(2)
        for key in ("img", "gt_seg_map"):
            if key in results:
                results[key] = np.ascontiguousarray(np.rot90(results[key], turns))
        return results


@TRANSFORMS.register_module()
class ResizeToMultiple(BaseTransform):
    """Stretch an image, and its labels if loaded, to multiples of `size_divisor`, rounded up.

    The official code resizes test images this way. Padding instead would change the prediction of
    every pixel, because the decoder factorises the whole map.
    """

    def __init__(self, size_divisor: int = 32) -> None:
        self.size_divisor = size_divisor

    def transform(self, results: dict) -> dict:
        image = mmcv.imresize_to_multiple(results["img"], self.size_divisor, scale_factor=1)
        results["img"] = image
        results["img_shape"] = image.shape[:2]
        for key in results.get("seg_fields", ()):
            size = image.shape[1::-1]
            results[key] = mmcv.imresize(results[key], size, interpolation="nearest")
        return results
