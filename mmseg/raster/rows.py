"""Rasters read some rows at a time."""

from collections.abc import Iterator

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from mmseg.errors import UserError

ROWS = 512  # read at a time: the height of a block


def row_windows(raster: rasterio.DatasetReader, rows: int = ROWS) -> Iterator[Window]:
    """Divide a raster into windows of its whole width, `rows` high; the last may be lower."""
    for top in range(0, raster.height, rows):
        yield Window(0, top, raster.width, min(rows, raster.height - top))


def read_rows(path: str, masked: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, values (rows, W)) of the first band, `masked` where it has no data."""
    try:
        with rasterio.open(path) as raster:
            for window in row_windows(raster):
                yield window.row_off, raster.read(1, window=window, masked=masked)
    except RasterioError as error:
        raise UserError(f"{path}: not a readable raster, or cut short") from error
