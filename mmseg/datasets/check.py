"""Find all wrong files of a data set, before a training run finds the first one.

A sample is an image with its mask. Every sample is read as training reads it, so a sample without
problems does not stop a run.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.table import Table

from mmseg.config.parts import parts_of
from mmseg.datasets import build_dataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import single_class_advice
from mmseg.datasets.transforms import LoadImageFromFile
from mmseg.errors import UserError
from mmseg.imagery.bands import is_bgr
from mmseg.imagery.files import read_file
from mmseg.imagery.listing import names_in
from mmseg.imagery.mask import IGNORE_INDEX, check_size, read_mask, to_train_ids


@dataclass
class Sample:
    """The numbers of one sample, None where they could not be read, and its problems."""

    name: str
    image: str
    problems: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None  # height and width of the image
    channel_mean: np.ndarray | None = None  # float64 (C,) in RGB order, or that of the bands
    channel_square: np.ndarray | None = None  # mean of the squares, float64 (C,)
    digest: bytes | None = None
    class_pixels: np.ndarray | None = None  # int64 (num_classes,)


def build_parts(cfg: Mapping) -> list[BaseSegDataset]:
    """Build the single data sets of a config that may repeat or join others; no file is listed."""
    return [build_dataset({**part, "lazy_init": True}) for part in parts_of(cfg)]


def masks_without_image(dataset: BaseSegDataset) -> list[str]:
    """Name the masks without an image; none if a list (`ann_file`) chooses the samples."""
    folder = dataset.data_prefix.get("seg_map_path")
    if dataset.ann_file or not folder or not Path(folder).is_dir():
        return []
    alone = set(names_in(folder, dataset.seg_map_suffix)) - set(dataset.list_names())
    paths = [Path(folder, name + dataset.seg_map_suffix) for name in sorted(alone)]
    return [f"{path}: the mask has no image {path.stem + dataset.img_suffix}" for path in paths]


def check_sample(dataset: BaseSegDataset, name: str) -> Sample:
    """Read an image and its mask; `problems` names each wrong file."""
    info = dataset.sample(name)
    sample = Sample(name, info["img_path"])
    loaders = [s for s in dataset.pipeline.transforms if isinstance(s, LoadImageFromFile)]
    with _noted(sample.problems):
        _check_image(sample, info, loaders[0] if loaders else LoadImageFromFile())
    if "seg_map_path" in info:
        with _noted(sample.problems):
            _check_mask(sample, info, len(dataset.metainfo["classes"]))
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
            if sample.digest in later:
                sample.problems.append(
                    f"{sample.image}: the same picture as {later[sample.digest]}; take it out of "
                    f"{split}"
                )
        later.update({s.digest: f"{s.image} of {split}" for s in splits[split] if s.digest})


def lonely_class(samples: Sequence[Sample], classes: Sequence[str]) -> list[str]:
    """Name the single class of all masks if there should be more: a model would learn nothing."""
    found = np.flatnonzero(_class_pixels(samples, len(classes))).tolist()
    if len(found) != 1 or len(classes) == 1:
        return []
    return [f"train: all masks {single_class_advice(classes[found[0]])}"]


def overview(splits: Mapping[str, Sequence[Sample]]) -> Table:
    """Tabulate sizes and colours of the images of each split."""
    table = Table("split", "images", "height", "width", "mean of each band", "std of each band")
    for split, samples in splits.items():
        sizes = np.array([s.size for s in samples if s.size])
        if not len(sizes):
            table.add_row(split, "0 readable")
            continue
        ranges = [f"{low} to {high}" for low, high in zip(sizes.min(0), sizes.max(0), strict=True)]
        colours = [", ".join(f"{v:.2f}" for v in values) for values in mean_and_std(samples)]
        table.add_row(split, str(len(samples)), *ranges, *colours)
    return table


def class_table(splits: Mapping[str, Sequence[Sample]], classes: Sequence[str]) -> Table:
    """Tabulate the pixels of each class in each split."""
    table = Table("class")
    columns = []
    for split, samples in splits.items():
        pixels = _class_pixels(samples, len(classes))
        shares = pixels / max(pixels.sum(), 1)
        columns.append([f"{n:,} ({p:.2%})" for n, p in zip(pixels, shares, strict=True)])
        table.add_column(f"pixels in {split}", justify="right")
    for row in zip(classes, *columns, strict=True):
        table.add_row(*row)
    return table


def mean_and_std(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return the (C,) mean and standard deviation of all pixels of all images, RGB or by bands."""
    read = [s for s in samples if s.size and s.channel_mean is not None]
    pixels = [height * width for height, width in (s.size for s in read if s.size)]
    mean = np.average(np.array([s.channel_mean for s in read]), axis=0, weights=pixels)
    square = np.average(np.array([s.channel_square for s in read]), axis=0, weights=pixels)
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _class_pixels(samples: Sequence[Sample], num_classes: int) -> np.ndarray:
    counts = [s.class_pixels for s in samples if s.class_pixels is not None]
    return np.sum([np.zeros(num_classes, int), *counts], axis=0)


@contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        problems.append(str(error))


def _check_image(sample: Sample, info: Mapping, load: LoadImageFromFile) -> None:
    if not Path(sample.image).is_file():
        raise UserError(f"{sample.image}: the image is not there")
    image = load(dict(info))["img"]
    sample.size = image.shape[:2]
    mean, std = (values[:, 0] for values in cv2.meanStdDev(image))
    bands = info.get("bands")
    order = slice(None, None, -1) if is_bgr(bands, str(image.dtype)) else slice(None)
    sample.channel_mean, sample.channel_square = mean[order], (std**2 + mean**2)[order]
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    sample.digest = digest.digest()
    channels = _channels(sample.image)
    if bands is None and channels not in (1, 3):
        raise UserError(
            f"{sample.image}: has {channels} channels; only the colours of an RGB or grey image "
            "are read: convert it"
        )


def _channels(path: str) -> int:
    """Return the number of channels in the file; a palette counts as three.

    A TIFF counts as three too: its other bands are often infrared, and the loader leaves them out.
    """
    try:
        with Image.open(io.BytesIO(read_file(path, "image"))) as image:
            return 3 if image.mode == "P" or image.format == "TIFF" else len(image.getbands())
    except OSError:
        return 3  # PIL does not know the format, but the loader does.


def _check_mask(sample: Sample, info: Mapping, num_classes: int) -> None:
    path = info["seg_map_path"]
    if not Path(path).is_file():
        raise UserError(f"{path}: the mask of {sample.image} is not there")
    values = read_mask(path, None, info["colour_ids"])
    if sample.size:
        with _noted(sample.problems):
            check_size(path, values.shape, sample.image, sample.size)
    facts = info["num_classes"], info["reduce_zero_label"]
    ids = to_train_ids(values, *facts, path, info.get("label_map"))
    counts = np.bincount(ids.ravel(), minlength=256)
    sample.class_pixels = counts[:num_classes]
    if counts[IGNORE_INDEX] == ids.size:
        raise UserError(f"{path}: the mask is empty, every pixel is ignored")
