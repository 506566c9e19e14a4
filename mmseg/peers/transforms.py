"""Augmentations of MMSegmentation 1.x, by its names and with its arguments.

Each draws from numpy's generator, which `Seeded` data sets start anew for every sample. From the
same state of it each gives MMSegmentation's result, unless its text says otherwise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, Resize
from mmengine.registry import Registry
from typing_extensions import dataclass_transform  # typing has it from Python 3.11 on

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


@dataclass_transform()
class Augmentation(BaseTransform):
    """A transform that a config finds by its name; its attributes are its arguments.

    `*prob` are chances. A subclass checks others, and prepares its work, in `_prepare`.
    """

    def __init_subclass__(cls) -> None:
        found_in(TRANSFORMS)(dataclass(eq=False)(cls))

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            right = not key.endswith("prob") or 0 <= value <= 1
            require(right, f"{key}={value}: a chance is from 0 to 1")
        self._prepare()

    def _prepare(self) -> None:
        pass


def _change(results: dict, image: Callable, labels: Callable | None = None) -> dict:
    """Apply a function to the image and one, by default the same, to each label map."""
    if "img" in results:
        results["img"] = image(results["img"])
        results["img_shape"] = results["img"].shape[:2]
    for key in results.get("seg_fields") or ("gt_seg_map",):
        if key in results:
            results[key] = (labels or image)(results[key])
    return results


def _rotate(
    results: dict, degree: Any, fill: float = 0, label_fill: int = IGNORED, **how: Any
) -> dict:
    angle = np.random.uniform(min(degree), max(degree))
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


class RandomRotate(Augmentation):
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

    def _prepare(self) -> None:
        self.degree = _angles(self.degree)

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        how = {"center": self.center, "auto_bound": self.auto_bound}
        return _rotate(results, self.degree, self.pad_val, self.seg_pad_val, **how)


class RandomRotFlip(Augmentation):
    """Rotate by an angle from `degree`, or turn by quarters and flip, or leave as it is.

    Rotated labels keep their ids, and their corners are 255. MMSegmentation blends the ids of
    neighbours and makes the corners class 0.
    """

    rotate_prob: float = 0.5
    flip_prob: float = 0.5
    degree: Any = (-20, 20)

    def _prepare(self) -> None:
        self.degree = _angles(self.degree)

    def transform(self, results: dict) -> dict:
        if np.random.random() < self.rotate_prob:
            return _rotate(results, self.degree)
        if np.random.random() < self.flip_prob:
            quarters, axis = np.random.randint(0, 4), np.random.randint(0, 2)
            return _change(results, lambda x: np.flip(np.rot90(x, quarters), axis).copy())
        return results


class RandomCutOut(Augmentation):
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

    def _prepare(self) -> None:
        sizes = [each for each in (self.cutout_shape, self.cutout_ratio) if each is not None]
        given = len(sizes) == 1 and isinstance(sizes[0], list | tuple)
        require(given, "RandomCutOut: give cutout_shape or cutout_ratio, (width, height)")
        self.sizes = sizes[0] if isinstance(sizes[0], list) else sizes
        least_most = self.n_holes if isinstance(self.n_holes, tuple) else (self.n_holes,) * 2
        require(sorted(least_most) == [*least_most][:2], f"n_holes={self.n_holes}: a range is two")
        self.n_holes = least_most
        require(self.seg_fill_in in (None, *range(256)), f"seg_fill_in={self.seg_fill_in}: a label")

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        height, width = results["img"].shape[:2]
        whole = (1, 1) if self.cutout_ratio is None else (width, height)
        holes = []
        for _ in range(np.random.randint(self.n_holes[0], self.n_holes[1] + 1)):
            left, top, number = (np.random.randint(n) for n in (width, height, len(self.sizes)))
            wide, high = (int(a * b) for a, b in zip(self.sizes[number], whole, strict=True))
            holes.append((slice(top, top + high), slice(left, left + wide)))

        def filled(pixels: np.ndarray, value: Any) -> np.ndarray:
            pixels = pixels.copy()
            for hole in holes if value is not None else ():
                pixels[hole] = value
            return pixels

        return _change(
            results, lambda x: filled(x, self.fill_in), lambda x: filled(x, self.seg_fill_in)
        )


class SegRescale(Augmentation):
    """Scale the label maps alone."""

    scale_factor: float = 1

    def transform(self, results: dict) -> dict:
        scale = partial(mmcv.imrescale, scale=self.scale_factor, interpolation="nearest")
        return _change(results, lambda x: x, scale) if self.scale_factor != 1 else results


class ResizeShortestEdge(Augmentation):
    """Scale so that the shorter side is `scale`, or less if the longer would exceed `max_size`."""

    scale: Any
    max_size: int

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        side = self.scale if isinstance(self.scale, int) else min(self.scale)
        factor = min(side / min(height, width), self.max_size / max(height, width))
        size = int(width * factor + 0.5), int(height * factor + 0.5)
        return Resize(scale=size, keep_ratio=True)(results)


class Albu(Augmentation):
    """Transforms of albumentations, which must be installed, on RGB image and labels.

    `keymap` names the target of albumentations for each key. Each sample has a seed of its own.
    """

    transforms: list[dict]
    keymap: dict[str, str] | None = None
    additional_targets: dict[str, str] | None = None
    update_pad_shape: bool = False
    bgr_to_rgb: bool = True

    def _prepare(self) -> None:
        if find_spec("albumentations") is None:
            raise UserError("Albu needs albumentations: pip install albumentations")
        self.kinds = import_module("albumentations")
        more = self.additional_targets or {}
        self.targets = {**(self.keymap or {"img": "image", "gt_seg_map": "mask"}), **more}
        self.names = {**self.targets, **{key: key for key in more}}
        steps = [self._build(each) for each in self.transforms]
        self.compose = self.kinds.Compose(steps, additional_targets=more)

    def _build(self, config: dict) -> Any:
        options = dict(config)
        kind = options.pop("type")
        if "transforms" in options:
            options["transforms"] = [self._build(each) for each in options["transforms"]]
        return (getattr(self.kinds, kind) if isinstance(kind, str) else kind)(**options)

    def transform(self, results: dict) -> dict:
        def swapped(key: str, pixels: np.ndarray) -> np.ndarray:
            return pixels[..., ::-1] if self.bgr_to_rgb and self.targets[key] == "image" else pixels

        if hasattr(self.compose, "set_random_seed"):  # newer versions have their own generators
            self.compose.set_random_seed(np.random.randint(2**31))
        names = {name: key for key, name in self.names.items() if key in results}
        given = {name: np.array(swapped(key, results[key])) for name, key in names.items()}
        changed = self.compose(**given)
        results |= {key: swapped(key, changed[name]) for name, key in names.items()}
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
