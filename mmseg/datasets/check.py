"""Find all wrong files of a data set, before a training run finds the first one.

A sample is an image with its mask. Every sample is read as training reads it, so a sample without
problems does not stop a run.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from mmseg.config.parts import parts_of
from mmseg.datasets import build_dataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.errors import UserError
from mmseg.imagery.bands import is_bgr
from mmseg.imagery.listing import files_below
from mmseg.imagery.mask import IGNORE_INDEX


@dataclass
class Sample:
    """The numbers of one sample, empty where they could not be read, and its problems."""

    name: str
    image: str
    problems: list[str] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)  # height and width of the image
    means: np.ndarray = field(default_factory=lambda: np.zeros(0))  # of samples and squares (2, C)
    digest: bytes = b""
    class_pixels: np.ndarray | int = 0  # int64 (num_classes,)


def build_parts(cfg: Mapping, lazy: bool = True) -> list[BaseSegDataset]:
    """Build the single data sets of a config that may repeat or join others.

    With `lazy`, no file is listed.
    """
    return [build_dataset({**part, "lazy_init": lazy}) for part in parts_of(cfg)]


def masks_without_image(dataset: BaseSegDataset) -> list[str]:
    """Name the masks without an image; none if a list (`ann_file`) chooses the samples."""
    folder = dataset.data_prefix.get("seg_map_path")
    if dataset.ann_file or not folder or not Path(folder).is_dir():
        return []
    suffix = dataset.seg_map_suffix
    masks = {Path(path) for path in files_below(folder) if path.endswith(suffix)}
    alone = masks - {Path(dataset.sample(name)["seg_map_path"]) for name in dataset.list_names()}
    names = [(path, path.name.removesuffix(suffix)) for path in sorted(alone)]
    return [f"{path}: the mask has no image {name}{dataset.img_suffix}" for path, name in names]


def check_sample(dataset: BaseSegDataset, name: str) -> Sample:
    """Read an image and its mask; `problems` names each wrong file."""
    results = {**dataset.facts, **dataset.sample(name)}
    sample = Sample(name, results["img_path"])
    kinds: list[Any] = [LoadImageFromFile, LoadAnnotations]
    for kind in kinds if "seg_map_path" in results else kinds[:1]:
        try:
            results = dataset.step(kind)(results)
        except UserError as error:
            sample.problems.append(str(error))
    if "img" in results:
        image, sample.size = results["img"], results["img_shape"]
        values = image[..., ::-1] if is_bgr(results.get("bands"), str(image.dtype)) else image
        squares = np.square(values, dtype=np.float64)
        sample.means = np.stack([values.mean((0, 1), dtype=np.float64), squares.mean((0, 1))])
        sample.digest = hashlib.sha256(str(image.shape).encode() + image.tobytes()).digest()
    if "gt_seg_map" in results:
        counts = np.bincount(results["gt_seg_map"].ravel(), minlength=256)
        sample.class_pixels = counts[: len(dataset.metainfo["classes"])]
        if counts[IGNORE_INDEX] == counts.sum():
            problem = f"{results['seg_map_path']}: the mask is empty, every pixel is ignored"
            sample.problems.append(problem)
    return sample


def find_leaks(splits: Mapping[str, Sequence[Sample]]) -> None:
    """Note every image that a later split has too, as a problem of the earlier split.

    Images are compared by their decoded pixels. So a copy under another name, with other metadata,
    or as PNG instead of BMP is found, but a copy that was compressed again is not. The later split
    keeps the image, because the data that scores a model must stay as published.
    """
    later: dict[bytes, str] = {}
    for split in reversed(list(splits)):
        for sample in splits[split]:
            if found := later.get(sample.digest):
                advice = f"the same picture as {found}; take it out of {split}"
                sample.problems.append(f"{sample.image}: {advice}")
        later.update({s.digest: f"{s.image} of {split}" for s in splits[split] if s.digest})


def overview(splits: Mapping[str, Sequence[Sample]]) -> Table:
    """Tabulate sizes and colours of the images of each split."""
    table = Table("split", "images", "height", "width", "mean of each band", "std of each band")
    for split, samples in splits.items():
        if not any(sample.digest for sample in samples):
            table.add_row(split, "0 readable")
            continue
        sides = zip(*(s.size for s in samples if s.digest), strict=True)
        ranges = [f"{min(side)} to {max(side)}" for side in sides]
        colours = [", ".join(f"{v:.2f}" for v in values) for values in mean_and_std(samples)]
        table.add_row(split, str(len(samples)), *ranges, *colours)
    return table


def class_table(splits: Mapping[str, Sequence[Sample]], classes: Sequence[str]) -> Table:
    """Tabulate the pixels of each class in each split."""
    table = Table("class", *(f"pixels in {split}" for split in splits))
    zeros = np.zeros(len(classes), int)
    pixels = [zeros + sum(s.class_pixels for s in own) for own in splits.values()]
    for index, name in enumerate(classes):
        cells = [f"{n[index]:,} ({n[index] / max(n.sum(), 1):.2%})" for n in pixels]
        table.add_row(name, *cells)
    return table


def mean_and_std(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return the (C,) mean and standard deviation of all pixels of all images, RGB or by bands."""
    read = [s for s in samples if s.digest]
    pixels = [math.prod(s.size) for s in read]
    mean, square = np.average(np.stack([s.means for s in read]), axis=0, weights=pixels)
    return mean, np.sqrt(np.maximum(square - mean**2, 0))
