"""Which bands of a raster are the colours."""

import warnings

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from mmseg.errors import UserError, reason

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# Such a file may be a few bytes that declare gigabytes; a scene is cut into tiles first.
MOST_PIXELS = 2**28


def colour_bands(raster: rasterio.DatasetReader) -> list[int]:
    """Return the numbers, from 1, of red, green and blue: those called so, else the first three."""
    colours = list(raster.colorinterp)
    named = all(colour in colours for colour in RGB)
    return [colours.index(colour) + 1 for colour in RGB] if named else [1, 2, 3]


def read_colours(data: bytes, path: str) -> np.ndarray:
    """Return the colours of the TIFF of `path`, whose bytes are given: (H, W, 3) uint8 RGB.

    One band, or one and an alpha band, is grey or a palette. Raises `UserError` for samples of more
    than 8 bits.
    """
    try:
        with MemoryFile(data) as file, _open(file) as raster:
            if raster.dtypes[0] != "uint8":
                raise UserError(
                    f"{path}: the samples of the image are {raster.dtypes[0]}; scale them to 8 "
                    "bits, as in gdal_translate -ot Byte -scale LOW HIGH 0 255"
                )
            if raster.width * raster.height > MOST_PIXELS:
                raise UserError(f"{path}: the image is too large; cut it into tiles")
            if raster.colorinterp[0] == ColorInterp.palette:
                table = raster.colormap(1)
                colours = np.array([table.get(i, (0, 0, 0))[:3] for i in range(256)], np.uint8)
                return colours[raster.read(1)]
            bands = colour_bands(raster) if raster.count > 2 else [1, 1, 1]
            return raster.read(bands).transpose(1, 2, 0)
    except RasterioError as error:
        raise UserError(f"{path}: cannot decode the image ({reason(error)})") from error


def _open(file: MemoryFile) -> rasterio.DatasetReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return file.open(driver="GTiff")
