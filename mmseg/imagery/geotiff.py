"""Open and write georeferenced rasters."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

from mmseg.files import whole_file


def open_geotiff(path: str | Path) -> rasterio.DatasetReader:
    """Open a TIFF, with or without georeference.

    No other driver is tried: GDAL's virtual rasters can name any file or address.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, driver="GTiff")


def write_geotiff(path: Path, array: np.ndarray, transform: Affine, crs: str) -> None:
    """Write a tiled, deflated GeoTIFF; the file appears only when it is complete.

    `array` is (H, W) or (H, W, C) of integers, `transform` maps (column, row) to map coordinates,
    and `crs` is a code such as "EPSG:2180" or WKT.
    Raises `UserError` if the file cannot be written.
    """
    bands = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    count, height, width = bands.shape
    profile = {
        "driver": "GTiff",
        "dtype": bands.dtype,
        "photometric": "RGB" if count == 3 else "MINISBLACK",
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
    }
    size = {"width": width, "height": height, "count": count}
    with (
        whole_file(path) as part,
        rasterio.open(part, "w", transform=transform, crs=crs, **size, **profile) as target,
    ):
        target.write(bands)
