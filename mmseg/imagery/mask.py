"""Read images and masks so that a bad file is named and never becomes wrong numbers."""

import io

import cv2
import numpy as np
from mmengine import fileio
from PIL import Image

from mmseg.errors import UserError, reason

IGNORE_INDEX = 255
JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"\0\0\0\0IEND"


def read_file(path: str, kind: str, backend_args: dict | None = None) -> bytes:
    """Return the bytes of an image file that can be decoded; `kind` is the word for it in errors.

    Raises `UserError` for what decoders do not say: that they fill what a truncated JPEG lacks with
    grey, and that a file of a few bytes, made to harm or damaged, asks for gigabytes of memory.
    """
    try:
        data = fileio.get(path, backend_args=backend_args)
    except OSError as error:
        raise UserError(f"{path}: cannot read the {kind} ({error.strerror or error})") from error
    if not data:
        raise UserError(f"{path}: cannot decode the {kind}, the file is empty; copy it again")
    for start, has_end in ((JPEG_START, _has_jpeg_end), (PNG_START, _has_png_end)):
        if data.startswith(start) and not has_end(data):
            raise UserError(f"{path}: the {kind} is truncated; copy or download it again")
    try:
        Image.open(io.BytesIO(data)).close()  # reads the header only
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: the {kind} is too large; cut it into tiles") from error
    except Exception:
        pass  # whoever decodes it will say what is wrong, or know the format
    return data


def _has_jpeg_end(data: bytes) -> bool:
    # A thumbnail among the segments before the first scan has an end of its own.
    at = len(JPEG_START)
    while data[at : at + 1] == b"\xff" and data[at : at + 2] != JPEG_SCAN:
        is_fill = data[at + 1 : at + 2] == b"\xff"
        at += 1 if is_fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.rfind(JPEG_END, at) >= 0


def _has_png_end(data: bytes) -> bool:
    # Chunk by chunk: a decoder reserves the memory that a damaged one declares.
    at = 8
    while data[at : at + 8] not in (PNG_END, b""):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return data[at : at + 8] == PNG_END


def read_mask(path: str, backend_args: dict | None = None) -> np.ndarray:
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


def single_channel(values: np.ndarray, path: str) -> np.ndarray:
    """Return (H, W, C) with equal channels as (H, W); `UserError` when they differ."""
    if (values != values[..., :1]).any():
        raise UserError(
            f"{path}: the {values.shape[2]} channels of the mask differ; masks hold one class id "
            "per pixel: convert colours to ids first"
        )
    return np.ascontiguousarray(values[..., 0])


def to_train_ids(
    values: np.ndarray, num_classes: int, reduce_zero_label: bool, path: str
) -> np.ndarray:
    """Turn the values of a file into train ids, (H, W) uint8, 255 = ignored.

    With `reduce_zero_label` the value 0 is ignored and k becomes k - 1. Raises `UserError` naming
    the ids that are no class.
    """
    beyond = num_classes + (1 if reduce_zero_label else 0)
    if values.dtype != np.uint8 or _any_between(values, beyond, IGNORE_INDEX - 1):
        _check_ids(values, beyond, num_classes, reduce_zero_label, path)
    ids = values.astype(np.uint8)
    if reduce_zero_label:
        is_ignored = ids == IGNORE_INDEX
        ids -= 1  # 0 becomes 255, and 255 would become 254
        ids |= is_ignored
    return ids


def _any_between(values: np.ndarray, low: int, high: int) -> bool:
    return low <= high and cv2.countNonZero(cv2.inRange(values, low, high)) > 0


def _check_ids(
    values: np.ndarray, beyond: int, num_classes: int, reduce_zero_label: bool, path: str
) -> None:
    valid = (values >= 0) & (values < beyond) | (values == IGNORE_INDEX)
    if not valid.all():
        ids = np.unique(values[~valid])
        shown = ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")
        raise UserError(
            f"{path}: the mask has ids {shown} outside the classes (num_classes={num_classes}, "
            f"ignore_index={IGNORE_INDEX}, reduce_zero_label={reduce_zero_label}): mend the mask "
            "or the data set's classes"
        )
