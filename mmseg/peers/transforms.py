"""Augmentations of MMSegmentation 1.x, by its names and with its arguments.

Each draws from numpy's generator, which `Seeded` data sets start anew for every sample. From the
same state of it each gives MMSegmentation's result, unless its text says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, Resize
from mmengine.registry import Registry
from typing_extensions import dataclass_transform  # typing has it from Python 3.11 on

from mmseg.datasets.transforms import LoadImageFromFile
from mmseg.errors import UserError
from mmseg.registry import TRANSFORMS, Count, checked_arguments

IGNORED = 255
Chance = Annotated[float, "a chance from 0 to 1", lambda v: 0 <= v <= 1]
Label = Annotated[int, "a label from 0 to 255", lambda v: 0 <= v <= 255]
LoadImageFromNDArray = LoadImageFromFile  # which keeps an image that is there already


def require(right: bool, message: str) -> None:
    """Raise a `UserError` if a condition does not hold."""
    if not right:
        raise UserError(message)


def offer(registry: Registry, cls: type, name: str = "") -> None:
    """Let a config find a class by its name, unless the user has a class of this name."""
    if (name or cls.__name__) not in registry.module_dict:
        registry.register_module(name or None, module=cls)


offer(TRANSFORMS, LoadImageFromFile, "LoadImageFromNDArray")


@dataclass_transform()
class Augmentation(BaseTransform):
    """A transform that a config finds by its name; its attributes are its arguments.

    Their annotations are checked. A subclass checks more, and prepares its work, in `_prepare`.
    """

    def __init_subclass__(cls) -> None:
        offer(TRANSFORMS, dataclass(eq=False)(cls))

    def __post_init__(self) -> None:
        self.__dict__ |= checked_arguments(type(self), vars(self), type(self).__name__)
        self._prepare()

    def _prepare(self) -> None:
        pass


def change(results: dict, image: Callable, labels: Callable | None = None) -> dict:
    """Apply a function to the image and one, by default the same, to each label map."""
    if "img" in results:
        results["img"] = image(results["img"])
        results["img_shape"] = results["img"].shape[:2]
    for key in results.get("seg_fields") or ("gt_seg_map",):
        if key in results:
            results[key] = (labels or image)(results[key])
    return results


class RandomRotate(Augmentation):
    """With the chance `prob`, rotate by an angle from `degree`, a range or d for (-d, d).

    With `auto_bound` the image grows so that nothing is cut off. The corners become `pad_val`, in
    the labels `seg_pad_val`.
    """

    prob: Chance
    degree: float | Sequence[float]
    pad_val: float = 0
    seg_pad_val: Label = IGNORED
    center: tuple[float, float] | None = None
    auto_bound: bool = False

    def _prepare(self) -> None:
        given = self.degree
        self.degree = tuple(given) if isinstance(given, Sequence) else (-given, given)
        right = len(self.degree) == 2 and self.degree[0] <= self.degree[1]
        require(right, f"degree={given}: give a number from 0, or a range of two")

    def transform(self, results: dict) -> dict:
        return self.rotate(results) if np.random.rand() < self.prob else results

    def rotate(self, results: dict) -> dict:
        """Rotate by an angle from `degree`."""
        how = {"center": self.center, "auto_bound": self.auto_bound}
        low, high = self.degree  # type: ignore[misc]
        turned = partial(mmcv.imrotate, angle=np.random.uniform(low, high), **how)
        labels = partial(turned, border_value=self.seg_pad_val, interpolation="nearest")
        return change(results, partial(turned, border_value=self.pad_val), labels)


class RandomRotFlip(Augmentation):
    """Rotate by an angle from `degree`, or turn by quarters and flip, or leave as it is.

    Rotated labels keep their ids, and their corners are 255. MMSegmentation blends the ids of
    neighbours and makes the corners class 0.
    """

    rotate_prob: Chance = 0.5
    flip_prob: Chance = 0.5
    degree: float | Sequence[float] = (-20, 20)

    def _prepare(self) -> None:
        self.rotate = RandomRotate(1, self.degree).rotate

    def transform(self, results: dict) -> dict:
        if np.random.random() < self.rotate_prob:
            return self.rotate(results)
        if np.random.random() < self.flip_prob:
            quarters, axis = np.random.randint(0, 4), np.random.randint(0, 2)
            return change(results, lambda x: np.flip(np.rot90(x, quarters), axis).copy())
        return results


class RandomCutOut(Augmentation):
    """With the chance `prob`, fill `n_holes` (a number or a range) rectangles with `fill_in`.

    `cutout_shape` is one (width, height) or a list of them; `cutout_ratio` gives them as shares of
    the image. Labels in the rectangles become `seg_fill_in`, or stay if it is None.
    """

    prob: Chance
    n_holes: int | tuple[int, int]
    cutout_shape: Sequence | None = None
    cutout_ratio: Sequence | None = None
    fill_in: Sequence[float] = (0, 0, 0)
    seg_fill_in: Label | None = None

    def _prepare(self) -> None:
        sizes = self.cutout_shape or self.cutout_ratio
        given = bool(self.cutout_shape) != bool(self.cutout_ratio)
        require(given, "RandomCutOut: give cutout_shape or cutout_ratio, (width, height)")
        self.sizes: Any = sizes if isinstance(sizes[0], Sequence) else [sizes]  # type: ignore[index]
        low, high = (self.n_holes,) * 2 if isinstance(self.n_holes, int) else self.n_holes
        require(low <= high, f"n_holes={self.n_holes}: the range ends before it begins")
        self.counts = low, high + 1

    def transform(self, results: dict) -> dict:
        if np.random.rand() >= self.prob:
            return results
        height, width = results["img"].shape[:2]
        unit = (width, height) if self.cutout_ratio else (1, 1)
        cut = np.zeros((height, width), bool)
        for _ in range(np.random.randint(*self.counts)):
            left, top, number = (np.random.randint(n) for n in (width, height, len(self.sizes)))
            wide, high = (int(a * b) for a, b in zip(self.sizes[number], unit, strict=True))
            cut[top : top + high, left : left + wide] = True

        def fill(pixels: np.ndarray, where: np.ndarray, value: Any) -> np.ndarray:
            return pixels if value is None else np.where(where, value, pixels).astype(pixels.dtype)

        image = partial(fill, where=cut[..., None], value=self.fill_in)
        return change(results, image, partial(fill, where=cut, value=self.seg_fill_in))


class SegRescale(Augmentation):
    """Scale the label maps alone."""

    scale_factor: float = 1

    def transform(self, results: dict) -> dict:
        scale = partial(mmcv.imrescale, scale=self.scale_factor, interpolation="nearest")
        return change(results, lambda x: x, scale)


class ResizeShortestEdge(Augmentation):
    """Scale so that the shorter side is `scale`, or less if the longer would exceed `max_size`."""

    scale: int | tuple[int, int]
    max_size: int

    def transform(self, results: dict) -> dict:
        height, width = results["img"].shape[:2]
        factor = min(np.min(self.scale) / min(height, width), self.max_size / max(height, width))
        size = int(width * factor + 0.5), int(height * factor + 0.5)
        return Resize(scale=size, keep_ratio=True)(results)


class CLAHE(Augmentation):
    """Equalise the histogram of each channel in tiles, with limited contrast (OpenCV's CLAHE)."""

    clip_limit: float = 40.0
    tile_grid_size: tuple[int, int] = (8, 8)

    def transform(self, results: dict) -> dict:
        planes = results["img"].astype(np.uint8).transpose(2, 0, 1)
        planes = [mmcv.clahe(each, self.clip_limit, self.tile_grid_size) for each in planes]
        return {**results, "img": np.stack(planes, axis=2)}


class AdjustGamma(Augmentation):
    """Replace each grey level g of a uint8 image by 255 (g / 255)^(1 / gamma), rounded down."""

    gamma: float = 1.0

    def _prepare(self) -> None:
        require(self.gamma > 0, f"gamma={self.gamma}: give a number above 0")
        self.table = ((np.arange(256) / 255) ** (1 / self.gamma) * 255).astype(np.uint8)

    def transform(self, results: dict) -> dict:
        return {**results, "img": self.table[results["img"].astype(np.uint8)]}


class Rerange(Augmentation):
    """Stretch the values of an image linearly to [min_value, max_value], as float32."""

    min_value: float = 0
    max_value: float = 255

    def _prepare(self) -> None:
        require(self.min_value < self.max_value, "Rerange: min_value below max_value")

    def transform(self, results: dict) -> dict:
        image = results["img"].astype(np.float64)
        least, span = image.min(), np.ptp(image)
        require(span > 0, f"{results.get('img_path')}: Rerange needs an image of several values")
        image = (image - least) / span * (self.max_value - self.min_value) + self.min_value
        return {**results, "img": image.astype(np.float32)}


class RGB2Gray(Augmentation):
    """Replace the channels by `out_channels` copies, or as many, of their weighted sum (float32).

    `weights` apply in the order of the channels in memory, which is blue, green, red.
    """

    out_channels: Count | None = None
    weights: tuple[float, ...] = (0.299, 0.587, 0.114)

    def transform(self, results: dict) -> dict:
        image, count = results["img"], len(self.weights)
        require(image.shape[2:] == (count,), f"RGB2Gray: {count} weights for {image.shape}")
        grey = (image @ np.array(self.weights))[..., None].astype(np.float32)
        image = grey.repeat(self.out_channels or count, axis=2)
        return {**results, "img": image, "img_shape": image.shape}


class Albu(Augmentation):
    """Transforms of albumentations, which must be installed, on RGB image and labels.

    `keymap` names the target of albumentations for each key. Each sample has a seed of its own.
    """

    names_ours = False  # `transforms` has names of albumentations, some of which are here too
    transforms: list[dict]
    keymap: dict[str, str] | None = None
    update_pad_shape: bool = False
    bgr_to_rgb: bool = True

    def _prepare(self) -> None:
        found = find_spec("albumentations") is not None
        require(found, "Albu needs albumentations: pip install albumentations")
        self.kinds = import_module("albumentations")
        self.names = self.keymap or {"img": "image", "gt_seg_map": "mask"}
        self.compose = self.kinds.Compose([self._build(each) for each in self.transforms])

    def _build(self, config: dict) -> Any:
        options = {key: value for key, value in config.items() if key != "type"}
        if "transforms" in options:
            options["transforms"] = [self._build(each) for each in options["transforms"]]
        return getattr(self.kinds, config["type"])(**options)

    def transform(self, results: dict) -> dict:
        def swap(name: str, pixels: np.ndarray) -> np.ndarray:
            return np.array(pixels[..., :: -1 if name == "image" and self.bgr_to_rgb else 1])

        if hasattr(self.compose, "set_random_seed"):  # newer versions have their own generators
            self.compose.set_random_seed(np.random.randint(2**31))
        names = {key: name for key, name in self.names.items() if key in results}
        changed = self.compose(**{name: swap(name, results[key]) for key, name in names.items()})
        results |= {key: swap(name, changed[name]) for key, name in names.items()}
        results["img_shape"] = results["img"].shape[:2]
        if self.update_pad_shape:
            results["pad_shape"] = results["img"].shape
        return results
