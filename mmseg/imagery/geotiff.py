"""Open and write georeferenced rasters, and read their colours."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from mmseg.errors import UserError, reason
from mmseg.files import whole_file

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# A damaged header may declare gigabytes, and an honest file of this size must be cut into tiles.
MOST_PIXELS = 2**28


def open_geotiff(path: str | Path) -> rasterio.DatasetReader:
    """Open a TIFF, with or without georeference.

    No other driver is tried: GDAL's virtual rasters can name any file or address.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, driver="GTiff")


def colour_bands(raster: rasterio.DatasetReader) -> list[int]:
    """Return the numbers (from 1) of the bands named red, green, blue, or else [1, 2, 3]."""
    colours = list(raster.colorinterp)
    named = all(colour in colours for colour in RGB)
    return [colours.index(colour) + 1 for colour in RGB] if named else [1, 2, 3]


def read_colours(data: bytes, path: str | Path) -> np.ndarray:
    """Decode `data`, the bytes of the TIFF at `path`, to (H, W, 3) uint8 RGB.

    A raster of one band, or of one and an alpha band, is grey or has a palette. Raises `UserError`
    for samples of more than 8 bits, too many pixels, and a file that cannot be decoded.
    """
    try:
        with MemoryFile(data) as file, open_geotiff(file.name) as raster:
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


def write_geotiff(
    path: Path,
    array: np.ndarray,
    transform: Affine,
    crs: str | None,
    names: Sequence[str] | None = None,
    nodata: float | None = None,
    valid: np.ndarray | None = None,
) -> None:
    """Write a tiled, deflated GeoTIFF; the file appears only when it is complete.

    `array` is (H, W) or (H, W, C), `transform` maps (column, row) to map coordinates, and `crs` is
    a code such as "EPSG:2180", WKT or, like the identity, None. `names` are those of the bands.
    Pixels that are not `valid`, bool (H, W), are told by a mask if there is no `nodata` value.
    Raises `UserError` if the file cannot be written.
    """
    bands = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    count, height, width = bands.shape
    profile = {
        "driver": "GTiff",
        "dtype": bands.dtype,
        "photometric": "RGB" if count == 3 and bands.dtype == np.uint8 else "MINISBLACK",
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
    }
    size = {"width": width, "height": height, "count": count, "nodata": nodata}
    with (
        warnings.catch_warnings(),
        whole_file(path) as part,
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(part, "w", transform=transform, crs=crs, **size, **profile) as target:
            target.write(bands)
            if names is not None:
                target.descriptions = names
            if valid is not None and nodata is None and not valid.all():
                target.write_mask(valid)
