"""Read images as the 8-bit colours that a model takes."""

import io
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from mmseg.errors import UserError, reason
from mmseg.imagery.files import check_depth, read_file

# As mmcv's "color", but samples of more than 8 bits keep their values.
COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Tags of a TIFF.
BITS, COMPRESSION, PHOTOMETRIC = 258, 259, 262
STRIP_SIZES, TILE_SIZES = 279, 325  # 0 for a part of a sparse file
# OpenCV is known to read TIFFs with these values right.
COMPRESSIONS = (1, 5, 7, 8, 32946, 32773)  # none, LZW, JPEG, deflate (two codes), PackBits
PHOTOMETRIC_OF = {1: (0, 1, 3), 3: (2, 6)}  # by bands: grey (two codes), palette; RGB, YCbCr


def read_image(
    path: str | Path, backend: str = "cv2", backend_args: dict | None = None
) -> np.ndarray:
    """Return an image file as (H, W, 3) uint8 BGR; `backend` is a decoder of mmcv.

    OpenCV multiplies the colours of some TIFFs by their fourth band and reads some as grey. So GDAL
    reads all but the plainest TIFFs. Samples of more than 8 bits are refused, whatever the format.
    Raises `UserError` for such samples and for a file that cannot be decoded.
    """
    data = read_file(path, "image", backend_args)
    if backend == "cv2" and data.startswith(TIFF_STARTS) and not _is_plain(data):
        from mmseg.imagery.geotiff import read_colours  # Most images need no GDAL.

        return np.ascontiguousarray(read_colours(data, path)[..., ::-1])
    try:
        flag = COLOUR if backend == "cv2" else "color"
        image = mmcv.imfrombytes(data, flag=flag, backend=backend)
    except Exception as error:  # each backend raises its own kinds
        raise UserError(f"{path}: cannot decode the image ({reason(error)})") from error
    if image is None:
        raise UserError(f"{path}: cannot decode the image; it is damaged or of an unknown format")
    check_depth(image.dtype, path)
    return image


def _is_plain(data: bytes) -> bool:
    """Tell whether a TIFF is of a kind that OpenCV is known to read right."""
    try:
        tags = dict(TiffImageFile(io.BytesIO(data)).tag_v2)
    except Exception:
        return False
    bits = tags.get(BITS, (1,))
    return (
        set(bits) == {8}
        and 0 not in (*tags.get(STRIP_SIZES, ()), *tags.get(TILE_SIZES, ()))
        and tags.get(PHOTOMETRIC) in PHOTOMETRIC_OF.get(len(bits), ())
        and tags.get(COMPRESSION, 1) in COMPRESSIONS
    )
