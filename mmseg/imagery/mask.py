"""Read masks as class ids, so that a wrong file is named and never becomes wrong numbers."""

import io
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg.errors import UserError, reason
from mmseg.imagery.files import read_file

IGNORE_INDEX = 255


def read_mask(path: str | Path, backend_args: dict | None = None) -> np.ndarray:
    """Return the values of a mask file as (H, W) integers; palette images give their indices.

    Three equal channels count as one. Raises `UserError` for a file that is no mask.
    """
    data = read_file(path, "mask", backend_args)
    try:
        with Image.open(io.BytesIO(data)) as image:
            values = np.asarray(image)
    except Exception as error:  # PIL raises many kinds on broken files
        raise UserError(f"{path}: cannot decode the mask ({reason(error)})") from error
    if values.ndim == 3:
        values = single_channel(values, path)
    if not np.issubdtype(values.dtype, np.integer) and values.dtype != bool:
        raise UserError(f"{path}: the mask holds {values.dtype} values; class ids are integers")
    return values


def single_channel(values: np.ndarray, path: str | Path) -> np.ndarray:
    """Return (H, W, C) with equal channels as (H, W); `UserError` when they differ."""
    if (values != values[..., :1]).any():
        raise UserError(
            f"{path}: the {values.shape[2]} channels of the mask differ; masks hold one class id "
            "per pixel: convert colours to ids first"
        )
    return np.ascontiguousarray(values[..., 0])


def check_size(
    mask: str | Path, shape: tuple[int, ...], image: str | Path, image_shape: tuple[int, ...]
) -> None:
    """Raise `UserError` if the (height, width) of a mask is not that of its image."""
    if tuple(shape) != tuple(image_shape):
        raise UserError(
            f"{mask}: the mask is {shape[1]}x{shape[0]} pixels, its image {image} "
            f"{image_shape[1]}x{image_shape[0]}"
        )


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
