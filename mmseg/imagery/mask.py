"""Read masks as class ids, so that a wrong file is named and never becomes wrong numbers."""

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from mmengine.logging import MMLogger
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from mmseg.errors import UserError
from mmseg.imagery.image import read_file

IGNORE_INDEX = 255
UNKNOWN = 254  # in the labels of an image that is trained without them

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
    channels = read_samples(data, path)
    values = np.ascontiguousarray(channels[..., 0])
    count = channels.shape[2]
    if count > 1 and (channels != channels[..., :1]).any():
        raise UserError(f"{path}: the {count} channels of the mask differ; convert colours to ids")
    if values.dtype.kind not in "iu":
        raise UserError(f"{path}: the mask holds {values.dtype} values; class ids are integers")
    table = palette_of(io.BytesIO(data)) if colour_ids else []
    if not table or not colour_ids:
        return values
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


def palette_of(file: str | BinaryIO) -> list[Colour]:
    """Return the colours of an image's palette from its header, empty if it has none."""
    # `Image.open` refuses the TIFF of a whole scene.
    opened = TiffImageFile if str(file).lower().endswith((".tif", ".tiff")) else Image.open
    with suppress(Exception), opened(file) as image:  # whoever reads the pixels names errors
        entries = image.getpalette() if image.mode == "P" else None
        return list(zip(*[iter(entries or ())] * 3, strict=True))
    return []


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
    ids = np.arange(num_classes, dtype=np.uint8)
    if label_map:
        ids[list(label_map)] = list(label_map.values())
    number, table = num_classes + reduce_zero_label, np.full(256, IGNORE_INDEX, np.uint8)
    table[int(reduce_zero_label) : number] = ids
    table[IGNORE_INDEX] = IGNORE_INDEX  # of 255 classes after 0, the last one has no value
    small = values.astype(np.uint8, copy=False)
    following = small + np.uint8(1)  # 255 becomes 0, so that what is above `number` is no id
    changed = values.dtype != np.uint8 and (small != values).any()
    if changed or following.max(initial=0) > number:
        found = np.unique(values[(small != values) | (following > number)])
        shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        raise UserError(
            f"{path}: the mask has ids {shown} outside the classes (num_classes={num_classes}, "
            f"ignore_index={IGNORE_INDEX}, reduce_zero_label={reduce_zero_label}): mend the "
            "mask or the data set's classes"
        )
    return cv2.LUT(small, table)


def warn_of_nodata(mask: str, nodata: float | None, meta: Mapping) -> None:
    """Log it if the nodata value of a mask is the id of a class, whose pixels are then ignored."""
    names = dict(enumerate(meta["classes"], int(bool(meta.get("reduce_zero_label")))))
    if nodata is not None and nodata in names:
        MMLogger.get_current_instance().warning(
            f"{mask}: its nodata value is {nodata:g}, the id of {names[int(nodata)]!r}: pixels of "
            "that class are ignored; gdal_edit.py -unsetnodata makes them count"
        )


def compare_palettes(
    masks: Sequence[str], meta: Mapping
) -> tuple[dict[Colour, int] | None, tuple[str, ...]]:
    """Compare the palettes of masks with each other, and with the data set's, `meta["palette"]`.

    If they differ from each other, return the value of each class's colour, for `read_mask`, and
    the paths of two that differ. Otherwise the values are ids: None and no path. A warning says
    that palettes differ.
    """
    colours = [tuple(colour) for colour in meta["palette"]]
    own = dict(enumerate(colours, int(bool(meta.get("reduce_zero_label")))))
    tables = {tuple(palette_of(mask)[:IGNORE_INDEX]): mask for mask in reversed(masks)}
    whole = max(tables, key=len, default=())
    warn = MMLogger.get_current_instance().warning
    for table, mask in tables.items():
        if table != whole[: len(table)]:
            index = next(i for i, colour in enumerate(table) if colour != whole[i])
            warn(
                f"palettes of masks differ: {index} is {whole[index]} in {tables[whole]} and "
                f"{table[index]} in {mask}; so masks with a palette are read by the colours of "
                "metainfo.palette"
            )
            return {c: k for k, c in own.items() if colours.count(c) == 1}, (tables[whole], mask)
    odd = [index for index, colour in own.items() if whole[index : index + 1] != (colour,)]
    if whole and odd:
        warn(
            f"{tables[whole]}: its palette is not metainfo.palette: {odd[0]} is "
            f"{(*whole, *[''] * 256)[odd[0]]} there and {own[odd[0]]} here; masks are read by "
            "their values, not by their colours"
        )
    return None, ()
