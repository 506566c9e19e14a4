"""Read images as the 8-bit colours, or the bands and bits, that a model takes.

Files that a decoder would turn into wrong pixels are refused.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine import fileio
from PIL import Image

from mmseg.errors import UserError, reason
from mmseg.imagery.bands import is_bgr, picture

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"\0\0\0\0IEND"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Samples of more than 8 bits keep their values.
COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH


def read_image(path: str | Path, backend_args: dict | None = None) -> np.ndarray:
    """Return an image file as (H, W, 3) uint8 BGR.

    Raises `UserError` for samples of more than 8 bits, whatever the format, and for a file that
    cannot be decoded.
    """
    return read_bands(path, backend_args=backend_args)[0]


def read_bands(
    path: str | Path,
    bands: Sequence[str] | None = None,
    bits: str = "uint8",
    backend_args: dict | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image file: the `bands`, (H, W, C) of `bits`, and its valid pixels, bool (H, W).

    GDAL reads TIFFs, as it reads scenes, and OpenCV the other formats of 8-bit RGB images, which
    are BGR. Raises `UserError` for other bands or bits, too many pixels, and a file that cannot be
    decoded.
    """
    data = read_file(path, "image", backend_args)
    bgr = is_bgr(bands, bits)
    if data.startswith(TIFF_STARTS) or not bgr:
        from mmseg.imagery.geotiff import read_planes  # Most images need no GDAL.

        planes, valid = read_planes(data, path, bands, bits)
        return np.ascontiguousarray((planes[::-1] if bgr else planes).transpose(1, 2, 0)), valid
    _check_pixels(data, path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), COLOUR)
    except cv2.error as error:
        raise UserError(f"{path}: cannot decode the image ({reason(error)})") from error
    if image is None:
        raise UserError(f"{path}: cannot decode the image; it is damaged or of an unknown format")
    check_depth(image.dtype, path)
    return image, np.broadcast_to(np.True_, image.shape[:2])


def _check_pixels(data: bytes, path: str | Path) -> None:
    """Refuse a header that declares gigabytes, for which a decoder would reserve memory."""
    try:
        Image.open(io.BytesIO(data)).close()  # reads the header only
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: the image is too large; cut it into tiles") from error
    except Exception:
        pass  # OpenCV may know this format; if not, it will say what is wrong.


def read_picture(path: str | Path, meta: Mapping, shown: Sequence[str] | None = None) -> np.ndarray:
    """Read an image of a data set with the metainfo `meta` as uint8 RGB; see `picture`."""
    image, _ = read_bands(path, meta.get("bands"), meta.get("bits", "uint8"))
    return picture(image, meta.get("bands"), shown)


def read_file(path: str | Path, kind: str, backend_args: dict | None = None) -> bytes:
    """Return the bytes of an image file; `kind`, such as "mask", names it in errors.

    Raises `UserError` for a file that is absent or empty, and for truncated ones: decoders fill the
    missing part of a JPEG with grey.
    """
    try:
        data = fileio.get(str(path), backend_args=backend_args)
    except OSError as error:
        raise UserError(f"{path}: cannot read the {kind} ({error.strerror or error})") from error
    if not data:
        raise UserError(f"{path}: cannot decode the {kind}, the file is empty; copy it again")
    for start, has_end in ((JPEG_START, _has_jpeg_end), (PNG_START, _has_png_end)):
        if data.startswith(start) and not has_end(data):
            raise UserError(f"{path}: the {kind} is truncated; copy or download it again")
    return data


def check_depth(samples: object, path: str | Path, bits: str = "uint8") -> None:
    """Raise `UserError` if the type of an image's samples, a NumPy dtype, is not `bits`."""
    if samples != bits:
        cure = "scale them to uint8, as in gdal_translate -ot Byte -scale LOW HIGH 0 255"
        cure = cure if bits == "uint8" else f"those of the data set are {bits} (metainfo.bits)"
        raise UserError(f"{path}: the samples of the image are {samples}; {cure}")


def _has_jpeg_end(data: bytes) -> bool:
    # A thumbnail has an end of its own, among the segments before the first scan: skip those.
    at = len(JPEG_START)
    while data[at : at + 1] == b"\xff" and data[at : at + 2] != JPEG_SCAN:
        is_fill = data[at + 1 : at + 2] == b"\xff"
        at += 1 if is_fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.rfind(JPEG_END, at) >= 0


def _has_png_end(data: bytes) -> bool:
    # Chunk by chunk, because a decoder reserves the memory that a damaged chunk declares.
    at = 8
    while data[at : at + 8] not in (PNG_END, b""):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return data[at : at + 8] == PNG_END
