"""Rasters of class ids, and what lies on their pixels."""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points

from mmseg.errors import UserError
from mmseg.imagery.geotiff import readable
from mmseg.raster.georeference import ground_resolution, row_areas
from mmseg.raster.measure import count_areas, row_windows

NODATA = 255


class ClassMap:
    """A raster of class ids with its place, as `map_orthophoto` writes it.

    `classes` (K) are the names in the tags of the file, or the ids, and `hectares` (K,) their
    areas. `row_hectares` (H,) is the area of a pixel of each row. What has no data or 255 is not
    mapped, nor is what a raster `mask` does not know, which may have other pixels.
    """

    def __init__(self, path: str, mask: str | None = None) -> None:
        self.path, self.mask = path, mask
        with open_raster(path) as raster:
            self.crs, self.transform, self.shape = raster.crs, raster.transform, raster.shape
            dtype, tags = raster.dtypes[0], raster.tags()
        if dtype != "uint8":
            raise UserError(f"{path}: its values are {dtype}; a map has class ids of uint8")
        if ground_resolution(self.transform, self.crs, *self.shape) is None:
            raise UserError(f"{path}: has no CRS and place on the Earth, so that nothing has areas")
        self.row_hectares = row_areas(self.transform, self.crs, *self.shape) / 10_000
        _, hectares = count_areas(self.blocks(), self.row_hectares, NODATA + 1)
        if not hectares[:NODATA].any():
            part = f"where {mask} has classes" if mask else "in it"
            raise UserError(f"{path}: nothing is mapped {part}")
        names = {int(k[6:]): v for k, v in tags.items() if k.startswith("CLASS_")}
        count = 1 + max([*names, *np.flatnonzero(hectares[:NODATA])])
        self.classes = [names.get(k, str(k)) for k in range(count)]
        self.hectares = hectares[:count]

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, ids (rows, W)) with `NODATA` where nothing is mapped."""
        for top, ids, known in aligned_blocks(self.path, self.mask or self.path):
            yield top, np.where(known == NODATA, NODATA, ids)


def open_raster(path: str) -> rasterio.DatasetReader:
    """Open a raster of integers; `UserError` for any other file."""
    with readable(path):
        raster = rasterio.open(path)
    if not np.issubdtype(raster.dtypes[0], np.integer):
        raise UserError(f"{path}: its values are {raster.dtypes[0]}; class ids are integers")
    return raster


def aligned_blocks(*paths: str) -> Iterator[tuple]:
    """Yield (first row, int64 values (rows, W) of a raster, those of others on the same pixels).

    A pixel of the others is the nearest one. Where a raster has no data, the value is `NODATA`.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(open_raster(path)) for path in paths]
        first = sources[0]
        grid = {"crs": first.crs, "transform": first.transform}
        grid |= {"width": first.width, "height": first.height}
        rasters = []
        for source in sources:
            nodata = NODATA if source.nodata is None else source.nodata
            crs = source.crs or first.crs
            vrt = WarpedVRT(source, src_crs=crs, src_nodata=nodata, nodata=NODATA, **grid)
            rasters.append(stack.enter_context(vrt))
        for window in row_windows(first):
            with readable(" or ".join(dict.fromkeys(paths)), "cannot be read whole"):
                values = [raster.read(1, window=window).astype(np.int64) for raster in rasters]
            yield window.row_off, *values


def values_at(path: str, crs: CRS, places: np.ndarray) -> np.ndarray:
    """Return the values (N,) of a raster at places (2, N), `NODATA` beside it or without data."""
    found = np.full(places.shape[1], NODATA, np.int64)
    with open_raster(path) as raster:
        x, y = np.array(transform_points(crs, raster.crs or crs, *places))
        columns, rows = np.floor(~raster.transform * (x, y))
        inside = (rows >= 0) & (rows < raster.height) & (columns >= 0) & (columns < raster.width)
        values = raster.sample(zip(x[inside], y[inside], strict=True), 1, masked=True)
        found[inside] = [value.astype(np.int64).filled(NODATA)[0] for value in values]
    return found
