"""Read images as the 8-bit colours, or the bands and bits, that a model takes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg.errors import UserError, reason
from mmseg.imagery.bands import is_bgr, picture
from mmseg.imagery.files import TIFF_STARTS, check_depth, read_file

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
