"""Read masks as class ids, so that a wrong file is named and never becomes wrong numbers."""

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from mmseg.errors import UserError
from mmseg.imagery.files import read_file

IGNORE_INDEX = 255

Colour = tuple[int, ...]


def read_mask(
    path: str | Path,
    backend_args: dict | None = None,
    colour_ids: Mapping[Colour, int] | None = None,
) -> np.ndarray:
    """Return the values of a mask file as (H, W) integers; palette images give their indices.

    Three equal channels count as one. The nodata value of a TIFF gives 255. With `colour_ids`, a
    palette image gives the value of each colour, and 255 for the index 255. Raises `UserError` for
    a file that is no mask, and for a colour without a value.
    """
    from mmseg.imagery.geotiff import read_samples  # Not all programs need GDAL.

    data = read_file(path, "mask", backend_args)
    values = single_channel(read_samples(data, path), path)
    if not np.issubdtype(values.dtype, np.integer):
        raise UserError(f"{path}: the mask holds {values.dtype} values; class ids are integers")
    table = palette_of(io.BytesIO(data)) if colour_ids else ()
    return _by_colour(values, table, colour_ids, path) if table and colour_ids else values


def palette_of(file: str | BinaryIO) -> list[Colour]:
    """Return the colours of an image's palette from its header, empty if it has none."""
    # `Image.open` refuses the TIFF of a whole scene.
    opened = TiffImageFile if str(file).lower().endswith((".tif", ".tiff")) else Image.open
    with suppress(Exception), opened(file) as image:  # whoever reads the pixels names errors
        entries = image.getpalette() if image.mode == "P" else None
        return list(zip(*[iter(entries or ())] * 3, strict=True))
    return []


def _by_colour(
    values: np.ndarray, table: list[Colour], colour_ids: Mapping[Colour, int], path: str | Path
) -> np.ndarray:
    found = np.full(256, -1)
    found[: len(table)] = [colour_ids.get(colour, -1) for colour in table]
    found[IGNORE_INDEX] = IGNORE_INDEX
    for index in np.unique(values[found[values] < 0])[:1]:
        raise UserError(
            f"{path}: the palettes of masks differ, and the colour of index {index} here, "
            f"{(*table, *[None] * 256)[index]}, is not that of one class in metainfo.palette: give "
            "the masks' colours there, or write masks with one palette"
        )
    return found[values]


def single_channel(values: np.ndarray, path: str | Path) -> np.ndarray:
    """Return (H, W, C) with equal channels as (H, W); `UserError` when they differ."""
    if (values != values[..., :1]).any():
        count = values.shape[2]
        raise UserError(f"{path}: the {count} channels of the mask differ; convert colours to ids")
    return np.ascontiguousarray(values[..., 0])


def check_size(
    mask: str | Path, shape: tuple[int, ...], image: str | Path, image_shape: tuple[int, ...]
) -> None:
    """Raise `UserError` if the (height, width) of a mask is not that of its image."""
    if tuple(shape) != tuple(image_shape):
        sizes = [f"{each[1]}x{each[0]}" for each in (shape, image_shape)]
        raise UserError(f"{mask}: the mask is {sizes[0]} pixels, its image {image} {sizes[1]}")


def to_train_ids(
    values: np.ndarray,
    num_classes: int,
    reduce_zero_label: bool,
    path: str | Path,
    label_map: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Turn the values of a file into train ids: (H, W) uint8, where 255 is ignored.

    With `reduce_zero_label` the value 0 is ignored and k becomes k - 1. Then `label_map` replaces
    ids. Raises `UserError` naming the ids that are none of the `num_classes` of the masks.
    """
    beyond = num_classes + reduce_zero_label
    # One pass of OpenCV finds nothing wrong in nearly every mask.
    if values.dtype != np.uint8 or (
        beyond < IGNORE_INDEX and cv2.countNonZero(cv2.inRange(values, beyond, IGNORE_INDEX - 1))
    ):
        wrong = (values < 0) | (values >= beyond) & (values != IGNORE_INDEX)
        if (found := np.unique(values[wrong])).size:
            shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
            raise UserError(
                f"{path}: the mask has ids {shown} outside the classes (num_classes={num_classes}, "
                f"ignore_index={IGNORE_INDEX}, reduce_zero_label={reduce_zero_label}): mend the "
                "mask or the data set's classes"
            )
    ids = values.astype(np.uint8)
    if reduce_zero_label:
        is_ignored = ids == IGNORE_INDEX
        ids -= 1  # 0 wraps to 255
        ids |= is_ignored  # 255 has become 254, and 254 | 1 is 255 again
    if label_map:
        replaced = np.arange(256, dtype=np.uint8)
        replaced[list(label_map)] = list(label_map.values())
        ids = replaced[ids]
    return ids
