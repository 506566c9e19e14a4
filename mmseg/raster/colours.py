"""Which bands of a raster are the colours."""

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
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
    """Return the colours of the GeoTIFF of `path`, whose bytes are given: (H, W, 3) uint8 RGB.

    Raises `UserError` for samples of more than 8 bits, and when there are no three bands.
    """
    try:
        with MemoryFile(data) as file, file.open(driver="GTiff") as raster:
            bands = colour_bands(raster)
            if raster.dtypes[0] != "uint8":
                raise UserError(
                    f"{path}: the samples of the image are {raster.dtypes[0]}; scale them to 8 "
                    "bits, as in gdal_translate -ot Byte -scale LOW HIGH 0 255"
                )
            if raster.count < 3:
                raise UserError(f"{path}: the image has {raster.count} bands; colours are three")
            if raster.width * raster.height > MOST_PIXELS:
                raise UserError(f"{path}: the image is too large; cut it into tiles")
            return raster.read(bands).transpose(1, 2, 0)
    except RasterioError as error:
        raise UserError(f"{path}: cannot decode the image ({reason(error)})") from error
