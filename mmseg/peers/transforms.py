"""Augmentations of MMSegmentation 1.x, by its names and with its arguments.

Each draws from numpy's generator, which `Seeded` data sets start anew for every sample. From the
same state of it each gives MMSegmentation's result, unless its text says otherwise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, Resize
from mmcv.transforms.utils import cache_randomness
from mmengine.registry import Registry

from mmseg.datasets.transforms import LoadImageFromFile
from mmseg.errors import UserError
from mmseg.registry import TRANSFORMS

IGNORED = 255
T = TypeVar("T")


class ArgumentError(UserError, AssertionError):
    """A value that a class cannot work with; MMSegmentation raises an `AssertionError`."""


def require(right: bool, message: str) -> None:
    """Raise an `ArgumentError` if a condition does not hold."""
    if not right:
        raise ArgumentError(message)


def found_in(registry: Registry) -> Callable[[type[T]], type[T]]:
    """Let a config find a class by its name, unless the user has a class of this name."""

    def register(cls: type[T]) -> type[T]:
        if cls.__name__ not in registry.module_dict:
            registry.register_module(module=cls)
        return cls

    return register


def _change(results: dict, image: Callable, labels: Callable | None = None) -> dict:
    """Apply a function to the image and one, by default the same, to each label map."""
    if "img" in results:
        results["img"] = image(results["img"])
        results["img_shape"] = results["img"].shape[:2]
    for key in results.get("seg_fields") or ("gt_seg_map",):
        if key in results:
            results[key] = (labels or image)(results[key])
    return results


def _rotate(results: dict, angle: float, fill: float, label_fill: int, **how: Any) -> dict:
    labels = {"border_value": label_fill, "interpolation": "nearest", **how}
    return _change(
        results,
        lambda x: mmcv.imrotate(x, angle, border_value=fill, **how),
        lambda x: mmcv.imrotate(x, angle, **labels),
    )


def _angles(degree: Any) -> tuple:
    """Return the range of an angle that is given as a range, or as d for (-d, d)."""
    limits = (-degree, degree) if isinstance(degree, int | float) else tuple(degree)
    least = 0 if isinstance(degree, int | float) else -math.inf
    require(len(limits) == 2 and limits[1] > least, f"degree={degree}: a number above 0, or two")
    return limits


def _check_chances(*chances: float) -> None:
    require(all(0 <= each <= 1 for each in chances), f"prob={chances}: a chance is from 0 to 1")


@found_in(TRANSFORMS)
@dataclass(eq=False)
class RandomRotate(BaseTransform):
    """With the chance `prob`, rotate by an angle from `degree`, a range or d for (-d, d).

    With `auto_bound` the image grows so that nothing is cut off. The corners become `pad_val`, in
    the labels `seg_pad_val`.
    """

    prob: float
    degree: Any
    pad_val: float = 0
    seg_pad_val: int = IGNORED
    center: tuple[float, float] | None = None
    auto_bound: bool = False

    def __post_init__(self) -> None:
        _check_chances(self.prob)
        self.degree = _angles(self.degree)

    @cache_randomness
    def _draw(self) -> tuple[bool, float]:
        return np.random.rand() < self.prob, np.random.uniform(min(self.degree), max(self.degree))

    def transform(self, results: dict) -> dict:
        rotates, angle = self._draw()
        how = {"center": self.center, "auto_bound": self.auto_bound}
        return (
            _rotate(results, angle, self.pad_val, self.seg_pad_val, **how) if rotates else results
        )


@found_in(TRANSFORMS)
@dataclass(eq=False)
class RandomRotFlip(BaseTransform):
    """Rotate by an angle from `degree`, or turn by quarters and flip, or leave as it is.

    Rotated labels keep their ids, and their corners are 255. MMSegmentation blends the ids of
    neighbours and makes the corners class 0.
    """

    rotate_prob: float = 0.5
    flip_prob: float = 0.5
    degree: Any = (-20, 20)

    def __post_init__(self) -> None:
        _check_chances(self.rotate_prob, self.flip_prob)
        self.degree = _angles(self.degree)

    def transform(self, results: dict) -> dict:
        if np.random.random() < self.rotate_prob:
            return _rotate(
                results, np.random.uniform(min(self.degree), max(self.degree)), 0, IGNORED
            )
        if np.random.random() < self.flip_prob:
            quarters, axis = np.random.randint(0, 4), np.random.randint(0, 2)
            return _change(results, lambda x: np.flip(np.rot90(x, quarters), axis).copy())
        return results


@found_in(TRANSFORMS)
@dataclass(eq=False)
class RandomCutOut(BaseTransform):
    """With the chance `prob`, fill `n_holes` (a number or a range) rectangles with `fill_in`.

    `cutout_shape` is one (width, height) or a list of them; `cutout_ratio` gives them as shares of
    the image. Labels in the rectangles become `seg_fill_in`, or stay if it is None.
    """

    prob: float
    n_holes: Any
    cutout_shape: Any = None
    cutout_ratio: Any = None
    fill_in: Sequence[float] = (0, 0, 0)
    seg_fill_in: int | None = None

    def __post_init__(self) -> None:
        _check_chances(self.prob)
        sizes = [each for each in (self.cutout_shape, self.cutout_ratio) if each is not None]
        given = len(sizes) == 1 and isinstance(sizes[0], list | tuple)
        require(given, "RandomCutOut: give cutout_shape or cutout_ratio, (width, height)")
        self.sizes = sizes[0] if isinstance(sizes[0], list) else sizes
        least_most = self.n_holes if isinstance(self.n_holes, tuple) else (self.n_holes,) * 2
        require(sorted(least_most) == [*least_most][:2], f"n_holes={self.n_holes}: a range is two")
        self.n_holes = least_most
        require(self.seg_fill_in in (None, *range(256)), f"seg_fill_in={self.seg_fill_in}: a label")

    @cache_randomness
    def _draw(self, height: int, width: int) -> list[list[int]]:
        """Draw the left side, the top and the number of the size of each rectangle."""
        if np.random.rand() >= self.prob:
            return []
        count = np.random.randint(self.n_holes[0], self.n_holes[1] + 1)
        return [
            [np.random.randint(n) for n in (width, height, len(self.sizes))] for _ in range(count)
        ]

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        whole = (1, 1) if self.cutout_ratio is None else (width, height)
        holes = []
        for left, top, number in self._draw(height, width):
            wide, high = (int(a * b) for a, b in zip(self.sizes[number], whole, strict=True))
            holes.append((slice(top, top + high), slice(left, left + wide)))

        def filled(pixels: np.ndarray, value: Any) -> np.ndarray:
            if holes and value is not None:
                pixels = pixels.copy()
                for hole in holes:
                    pixels[hole] = value
            return pixels

        return _change(
            results, lambda x: filled(x, self.fill_in), lambda x: filled(x, self.seg_fill_in)
        )


@found_in(TRANSFORMS)
@dataclass(eq=False)
class SegRescale(BaseTransform):
    """Scale the label maps alone."""

    scale_factor: float = 1

    def transform(self, results: dict) -> dict:
        def scaled(labels: np.ndarray) -> np.ndarray:
            return mmcv.imrescale(labels, self.scale_factor, interpolation="nearest")

        return _change(results, lambda x: x, scaled) if self.scale_factor != 1 else results


@found_in(TRANSFORMS)
@dataclass(eq=False)
class ResizeShortestEdge(BaseTransform):
    """Scale so that the shorter side is `scale`, or less if the longer would exceed `max_size`."""

    scale: Any
    max_size: int

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        side = self.scale if isinstance(self.scale, int) else min(self.scale)
        factor = min(side / min(height, width), self.max_size / max(height, width))
        size = int(width * factor + 0.5), int(height * factor + 0.5)
        return Resize(scale=size, keep_ratio=True)(results)


@found_in(TRANSFORMS)
@dataclass(eq=False)
class Albu(BaseTransform):
    """Transforms of albumentations, which must be installed, on RGB image and labels.

    `keymap` names the target of albumentations for each key. Each sample has a seed of its own.
    """

    transforms: list[dict]
    keymap: dict[str, str] | None = None
    additional_targets: dict[str, str] | None = None
    update_pad_shape: bool = False
    bgr_to_rgb: bool = True

    def __post_init__(self) -> None:
        if find_spec("albumentations") is None:
            raise UserError("Albu needs albumentations: pip install albumentations")
        kinds = import_module("albumentations")

        def build(config: dict) -> Any:
            options = dict(config)
            kind = options.pop("type")
            if "transforms" in options:
                options["transforms"] = [build(each) for each in options["transforms"]]
            return (getattr(kinds, kind) if isinstance(kind, str) else kind)(**options)

        more = self.additional_targets or {}
        self.targets = {**(self.keymap or {"img": "image", "gt_seg_map": "mask"})}
        self.targets |= {key: key for key in more}
        self.kinds = {**self.targets, **more}
        self.compose = kinds.Compose(
            [build(each) for each in self.transforms], additional_targets=more
        )

    def transform(self, results: dict) -> dict:
        targets = {key: name for key, name in self.targets.items() if key in results}
        swapped = {k for k in targets if self.bgr_to_rgb and self.kinds[k] == "image"}
        if hasattr(self.compose, "set_random_seed"):  # newer versions have their own generators
            self.compose.set_random_seed(np.random.randint(2**31))
        given = {k: mmcv.bgr2rgb(results[k]) if k in swapped else results[k] for k in targets}
        results = {**results}
        changed = self.compose(**{targets[key]: pixels for key, pixels in given.items()})
        for key, name in targets.items():
            results[key] = mmcv.rgb2bgr(changed[name]) if key in swapped else changed[name]
        results["img_shape"] = results["img"].shape[:2]
        if self.update_pad_shape:
            results["pad_shape"] = results["img"].shape
        return results


@found_in(TRANSFORMS)
class LoadImageFromNDArray(LoadImageFromFile):
    """Take the image that is already in `img`, (H, W, C), instead of reading a file."""

    def __init__(self, to_float32: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to_float32 = to_float32

    def transform(self, results: dict) -> dict:
        results = super().transform({"img_path": None, **results})
        if self.to_float32:
            results["img"] = results["img"].astype(np.float32)
        return results
