"""Rasters of class ids, what lies on their pixels, and what changed between two of them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rasterio
import shapely
from rasterio.crs import CRS
from rasterio.features import geometry_mask, geometry_window
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rasterio.windows import Window, intersect

from mmseg.errors import UserError
from mmseg.files import whole_file, write_whole
from mmseg.imagery.geotiff import readable
from mmseg.raster.georeference import ground_resolution, row_areas
from mmseg.raster.measure import count_areas, row_windows
from mmseg.raster.strips import NODATA, write_cog
from mmseg.raster.style import add_attribute_table, qgis_style

NO_PAIR = 65535  # of two classes
PALE = 0.75  # the share of white in the colour of a class that stays
GREY = (128, 128, 128)  # of a class without a colour
HEADER = ["from_id", "from", "to_id", "to", "pixels", "hectares"]  # of pairs


class ClassMap:
    """A raster of class ids with its place, as `map_orthophoto` writes it.

    `classes` (K) are the names in the tags of the file, or the ids, and `hectares` (K,) their
    areas. `row_hectares` (H,) is the area of a pixel of each row. What has no data or 255 is not
    mapped, nor is what a raster `mask` does not know, which may have other pixels.
    """

    def __init__(self, path: str, mask: str | None = None) -> None:
        self.path, self.mask = path, mask
        with open_raster(path, np.uint8) as raster:
            self.crs, self.transform, self.shape = raster.crs, raster.transform, raster.shape
            tags = raster.tags()
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


def open_raster(path: str, kind: type[np.integer] = np.integer) -> rasterio.DatasetReader:
    """Open a raster of integers of one or any kind; `UserError` for any other file."""
    with readable(path):
        raster = rasterio.open(path)
    if not np.issubdtype(raster.dtypes[0], kind):
        found, needed = raster.dtypes[0], kind.__name__
        raise UserError(f"{path}: its values are {found}, but class ids must be {needed}")
    return raster


def aligned_blocks(*paths: str) -> Iterator[tuple]:
    """Yield (first row, int64 values (rows, W) of a raster, those of others on the same pixels).

    A pixel of the others is the nearest one. Where a raster has no data, the value is `NODATA`.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(open_raster(path)) for path in paths]
        first = sources[0]
        rasters = [stack.enter_context(_laid_on(first, each, first.crs)) for each in sources]
        for window in row_windows(first):
            with readable(" or ".join(dict.fromkeys(paths)), "cut short; get it again"):
                values = [raster.read(1, window=window).astype(np.int64) for raster in rasters]
            yield window.row_off, *values


def values_at(path: str, crs: CRS, places: np.ndarray) -> np.ndarray:
    """Return the values (N,) of a raster at places (2, N), `NODATA` beside it or without data."""
    with open_raster(path) as raster, _laid_on(raster, raster, crs) as ids:
        places = np.transpose(transform_points(crs, ids.crs, *places))
        return np.array([value[0] for value in ids.sample(places, 1)], np.int64)


def _laid_on(
    grid: rasterio.DatasetReader, raster: rasterio.DatasetReader, crs: CRS | None
) -> WarpedVRT:
    """Return a raster on the pixels of another one; `crs` is that of those that have none."""
    place = {"transform": grid.transform, "width": grid.width, "height": grid.height}
    place |= {"src_crs": raster.crs or crs, "crs": grid.crs or crs}
    nodata = NODATA if raster.nodata is None else raster.nodata
    return WarpedVRT(raster, src_nodata=nodata, nodata=NODATA, **place)


class ChangeMap:
    """Two maps on the pixels of the first one. The other is resampled to them (nearest pixel).

    A pair of classes has the value `first * number of classes of the second + second`.
    """

    def __init__(self, before: ClassMap, after: ClassMap) -> None:
        self.before, self.after = before, after
        self.pairs = [(one, two) for one in before.classes for two in after.classes]

    def write(self, path: Path) -> np.ndarray:
        """Write the pairs as COG with attribute table and QGIS style.

        Return pixels and hectares of each pair, float64 (2, pairs).
        """
        with whole_file(path) as part:
            pairs = part.with_suffix(".pairs.tif")
            try:
                blocks = self._write_pairs(pairs)
                table = count_areas(blocks, self.before.row_hectares, len(self.pairs))
                if not table[0].any():
                    raise UserError(f"{self.after.path}: shares no mapped pixel with the first map")
                write_cog(pairs, part, "MODE")
            finally:
                pairs.unlink(missing_ok=True)
        found = np.flatnonzero(table[0])
        names = {int(k): " -> ".join(self.pairs[k]) for k in found}
        palette = self._palette(found)
        measures = {"Pixels": table[0][found].astype(int), "Hectares": table[1][found]}
        path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)
        add_attribute_table(path, names, palette, measures)
        write_whole(path.with_suffix(".qml"), qgis_style(names, palette).encode())
        return table

    def measure(self, path: Path, zone: Sequence[shapely.Polygon]) -> np.ndarray:
        """Return what `write` does of the pixels with their middle in polygons of the maps' CRS."""
        total = np.zeros((2, len(self.pairs)))
        with rasterio.open(path) as raster:
            around = geometry_window(raster, zone, boundless=True)
            for rows in row_windows(raster):
                if intersect(rows, around):
                    window = rows.intersection(around)
                    pairs = raster.read(1, window=window)
                    place = raster.window_transform(window)
                    pairs[geometry_mask(zone, pairs.shape, place)] = NO_PAIR
                    blocks = [(window.row_off, pairs)]
                    total += count_areas(blocks, self.before.row_hectares, len(self.pairs))
        return total

    def rows(self, table: np.ndarray) -> Iterator[list]:
        """Yield the cells of `HEADER` for each pair that occurs, the largest first."""
        for k in sorted(np.flatnonzero(table[0]), key=lambda k: -table[1, k]):
            ids, names = divmod(int(k), len(self.after.classes)), self.pairs[k]
            cells = [ids[0], names[0], ids[1], names[1]]
            yield [*cells, int(table[0, k]), f"{table[1, k]:.4f}"]

    def _write_pairs(self, path: Path) -> Iterator[tuple[int, np.ndarray]]:
        """Write the pairs, and yield (first row, pairs (rows, W)) for each block."""
        height, width = self.before.shape
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "nodata": NO_PAIR}
        profile |= {"height": height, "width": width, "compress": "deflate", "bigtiff": "if_safer"}
        profile |= {"crs": self.before.crs, "transform": self.before.transform}
        with rasterio.open(path, "w", **profile) as target:
            for top, one, two in aligned_blocks(self.before.path, self.after.path):
                pairs = (one * len(self.after.classes) + two).astype(np.uint16)
                pairs[(one == NODATA) | (two == NODATA)] = NO_PAIR
                target.write(pairs, 1, window=Window(0, top, width, len(pairs)))
                yield top, pairs

    def _palette(self, found: np.ndarray) -> list[tuple[int, ...]]:
        """Give each pair the colour of its second class, a pale one if its name stays."""
        with rasterio.open(self.after.path) as raster:
            colours = raster.colormap(1) if raster.colorinterp[0].name == "palette" else {}
        palette = []
        for k in found:
            white = PALE if len(set(self.pairs[k])) == 1 else 0.0
            colour = colours.get(k % len(self.after.classes), GREY)[:3]
            palette.append(tuple(round(c + (255 - c) * white) for c in colour))
        return palette
