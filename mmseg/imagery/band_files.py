"""Read chosen bands of TIFFs, with the pixels that have an image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from mmseg.errors import UserError, reason
from mmseg.imagery.bands import is_bgr
from mmseg.imagery.files import read_file
from mmseg.imagery.geotiff import MOST_PIXELS, open_geotiff
from mmseg.imagery.image import TIFF_STARTS, read_image


def names_of(raster: rasterio.DatasetReader) -> list[str]:
    """Return the name of each band in lower case: its description, or else its colour."""
    pairs = zip(raster.descriptions, raster.colorinterp, strict=True)
    return [(text or colour.name).strip().lower() for text, colour in pairs]


def find_bands(raster: rasterio.DatasetReader, bands: Sequence[str]) -> list[int]:
    """Return the numbers (from 1) of the bands with these names.

    If the file does not name them all, it must have as many bands, and they are taken in order.
    Raises `UserError` for another number of bands, and for names that contradict this order.
    """
    names, wanted = names_of(raster), [band.lower() for band in bands]
    if all(wanted.count(band) == names.count(band) == 1 for band in wanted):
        return [names.index(band) + 1 for band in wanted]
    moved = [
        band for band, name in zip(wanted, names, strict=False) if band in names and band != name
    ]
    if len(names) != len(wanted) or moved:
        raise UserError(
            f"{raster.name}: it has {len(names)} bands ({', '.join(names)}), {len(wanted)} are "
            f"needed ({', '.join(bands)}); name the bands of the file, as in "
            "gdal_edit.py -set_desc"
        )
    return list(range(1, len(names) + 1))


def read_valid(
    raster: rasterio.DatasetReader, numbers: Sequence[int], window: Window | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read bands, (C, H, W), and which pixels have an image, bool (H, W).

    A pixel has none if the file's mask or alpha band says so, if all its bands are the nodata
    value, or if one of them is NaN. A band that is read is data, also if the file calls it alpha.
    """
    image = raster.read(numbers, window=window)
    alphas = {i + 1 for i, colour in enumerate(raster.colorinterp) if colour == ColorInterp.alpha}
    flags = raster.mask_flag_enums[numbers[0] - 1]
    if MaskFlags.nodata in flags or alphas & set(numbers):
        nodata = [raster.nodatavals[number - 1] for number in numbers]
        values = np.array([np.nan if value is None else value for value in nodata])
        valid = (image != values[:, None, None]).any(axis=0)
    else:
        valid = raster.dataset_mask(window=window) > 0
    if image.dtype.kind == "f":
        valid &= ~np.isnan(image).any(axis=0)
    return image, valid


def read_bands(
    path: str | Path, bands: Sequence[str], bits: str, backend_args: dict | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read the named bands of a TIFF: the image, (H, W, C) of `bits`, and its valid pixels (H, W).

    An 8-bit RGB image may have any format that `read_image` knows, and is BGR. Raises `UserError`
    for other bands or bits, too many pixels, and a file that cannot be decoded.
    """
    data = read_file(path, "image", backend_args)
    bgr = is_bgr(bands, bits)
    if bgr and not data.startswith(TIFF_STARTS):
        image = read_image(path, backend_args=backend_args)
        return image, np.ones(image.shape[:2], bool)
    try:
        with MemoryFile(data) as file, open_geotiff(file.name) as raster:
            if raster.width * raster.height > MOST_PIXELS:
                raise UserError(f"{path}: the image is too large; cut it into tiles")
            numbers = find_bands(raster, bands)
            if bits != "float32" and {raster.dtypes[n - 1] for n in numbers} != {bits}:
                raise UserError(
                    f"{path}: the samples of the image are {raster.dtypes[numbers[0] - 1]}, those "
                    f"of the data set {bits}; convert it"
                )
            planes, valid = read_valid(raster, numbers[::-1] if bgr else numbers)
    except UserError as error:
        raise UserError(str(error).replace(file.name, str(path))) from error
    except RasterioError as error:
        raise UserError(f"{path}: cannot decode the image ({reason(error)})") from error
    return np.ascontiguousarray(planes.transpose(1, 2, 0), bits), valid
