"""Cut a large raster into square tiles, one row of tiles in memory at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from mmseg.errors import UserError
from mmseg.imagery.geotiff import open_geotiff

# A raster may be this many times as large as its file (deflate reaches 1,032) and, as small rasters
# may be sparse, this many bytes larger.
MAX_COMPRESSION, ALWAYS_ACCEPTED = 2000, 2**28


def full_tiles(height: int, width: int, size: int) -> list[int]:
    """Return the numbers of the tiles that lie wholly inside a raster of `height` x `width` pixels.

    Tiles are numbered row by row. The partial tiles at the right and lower edge are dropped, but
    they are counted, so the numbers have gaps. This is the numbering of LandCover.ai.
    """
    columns = ceil(width / size)
    whole = range(width // size)
    return [row * columns + column for row in range(height // size) for column in whole]


def raster_shape(path: Path) -> tuple[int, int, int]:
    """Return (height, width, bands) from the header."""
    with _open_uint8(path) as raster:
        return raster.height, raster.width, raster.count


def iter_full_tiles(path: Path, size: int = 512) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (tile number, uint8 array of (size, size, bands)) for every tile of `full_tiles`.

    Raises `UserError` when the file cannot be read to its end or its samples are not uint8.
    """
    with _open_uint8(path) as raster:
        columns = ceil(raster.width / size)
        for row in range(raster.height // size):
            strip = raster.read(window=Window(0, row * size, raster.width, size))  # (C, size, W)
            for column in range(raster.width // size):
                tile = strip[:, :, column * size : (column + 1) * size]
                yield row * columns + column, tile.transpose(1, 2, 0)


@contextmanager
def _open_uint8(path: Path) -> Iterator[rasterio.DatasetReader]:
    try:
        with open_geotiff(path) as raster:
            if set(raster.dtypes) != {"uint8"}:
                raise UserError(f"{path}: samples are {raster.dtypes[0]}, not uint8; convert it")
            declared, size = raster.height * raster.width * raster.count, path.stat().st_size
            if declared > ALWAYS_ACCEPTED + MAX_COMPRESSION * size:
                raise UserError(
                    f"{path}: declares {raster.width}x{raster.height} pixels, but has {size:,} "
                    "bytes; it is damaged or made to harm: get the file again"
                )
            yield raster
    except RasterioIOError as error:
        raise UserError(f"{path}: not a readable raster, or cut short; get it again") from error
