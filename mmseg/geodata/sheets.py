"""Sheets: the scenes of a data set, cut along one grid on the ground and split by ground."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
import shapely
from rasterio.windows import Window
from scipy.sparse.csgraph import connected_components

from mmseg.errors import UserError
from mmseg.imagery.bands import bits_of
from mmseg.imagery.geotiff import find_bands, names_of, read_valid, readable
from mmseg.raster.georeference import ground_resolution

# A tile at the edge of a scene is left out if a side is shorter than this part of the full one.
SLIVER = 1 / 4
# Pixels of two sheets lie on one grid if they are so near, in pixels.
SAME_PLACE = 1e-3
SPLITS = ("train", "val", "test")
TRIALS = 2000  # random splits, of which the most balanced one is taken


@lru_cache(maxsize=8)  # a data set may have more files than a process may open
def opened(path: str) -> rasterio.DatasetReader:
    """Open what GDAL finds at `path`; `UserError` if it is no raster."""
    with readable(path):
        return rasterio.open(path)


class Sheet:
    """A raster that GDAL opens. `frame` is 0 on the common ground, else the sheet's own number.

    `bands` names all bands of the file in their order. By default they are those that the file
    names, but alpha. `nodata` is the value of pixels without image, if the file does not tell.
    """

    def __init__(
        self, path: str, number: int, bands: Sequence[str] | None, nodata: float | None
    ) -> None:
        self.path, self.name = path, Path(path).stem
        raster = opened(path)
        self.height, self.width = raster.shape
        self.crs, self.transform, self.bounds = raster.crs, raster.transform, raster.bounds
        self.resolution = ground_resolution(self.transform, self.crs, self.height, self.width)
        self.gsd = math.sqrt(math.prod(self.resolution)) if self.resolution else None
        at = self.transform
        if self.gsd and (at.b or at.d or at.a < 0 or at.e > 0):
            raise UserError(f"{path}: it is turned; make it north-up with gdalwarp")
        self.frame = 0 if self.gsd else number + 1
        named = [(i, name) for i, name in enumerate(names_of(raster), 1) if name != "alpha"]
        self.numbers, self.bands = [i for i, _ in named], [name for _, name in named]
        if len({*self.bands}) < len(self.bands):  # such as gray, undefined, undefined
            self.bands = [f"band {i + 1}" for i in range(len(self.bands))]
        if bands is not None:
            self.numbers, self.bands = find_bands(raster, bands), list(bands)
        self.bits = bits_of(raster.dtypes[self.numbers[0] - 1])
        self.nodata = raster.nodatavals[self.numbers[0] - 1] if nodata is None else nodata

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, (C, h, w) of `bits`, and which pixels have an image."""
        with readable(self.path):
            image, valid = read_valid(opened(self.path), self.numbers, window, self.nodata)
        return image.astype(self.bits, copy=False), valid


def open_sheets(
    paths: Sequence[str], bands: Sequence[str] | None, nodata: float | None
) -> list[Sheet]:
    """Open scenes that fit together; `UserError` names the first one that does not, and why."""
    opened.cache_clear()  # the files may have changed since an earlier call
    sheets = [Sheet(path, number, bands, nodata) for number, path in enumerate(paths)]
    first, named = sheets[0], {sheet.name: sheet for sheet in reversed(sheets)}
    for sheet in sheets[1:]:
        if (twin := named[sheet.name]) is not sheet:  # their tiles would replace each other
            raise UserError(f"{twin.path} and {sheet.path} have the same name: rename one")
        for what, ours, other in (
            ("bands", ", ".join(first.bands), ", ".join(sheet.bands)),
            ("samples of", first.bits, sheet.bits),
            ("CRS", *(s.crs.to_string() if s.gsd else "none" for s in (first, sheet))),
        ):
            if ours != other:
                raise UserError(
                    f"{sheet.path}: it has the {what} {other}, {first.path} has {ours}: make them "
                    "agree (gdalwarp, gdal_translate)"
                )
        if first.gsd and sheet.gsd and not 0.9 < sheet.gsd / first.gsd < 1.1:
            raise UserError(
                f"{sheet.path}: its pixels are {sheet.gsd:.3g} m wide, those of {first.path} "
                f"{first.gsd:.3g} m: resample them to one size (gdalwarp -tr)"
            )
    return sheets


def cells(sheets: Sequence[Sheet], size: int) -> Iterator[tuple[int, tuple[int, int], Window]]:
    """Yield a sheet's number, (row, column) of a common grid, and the window inside this cell.

    The grid begins at the corner of the first sheet; a cell is `size` of its pixels wide and high.
    No pixel lies in two windows, so cells of two sheets share ground only if they have the same
    row and column.
    """
    for number, sheet in enumerate(sheets):
        own, grid = sheet.transform, (sheets[0] if sheet.frame == 0 else sheet).transform
        rows = _spans(sheet.height, (grid.f - own.f) / own.e, size * grid.e / own.e)
        columns = _spans(sheet.width, (grid.c - own.c) / own.a, size * grid.a / own.a)
        for (row, top, bottom), (column, left, right) in product(rows, columns):
            yield number, (row, column), Window(left, top, right - left, bottom - top)


def _spans(length: int, start: float, size: float) -> Iterator[tuple[int, int, int]]:
    """Yield the number, first pixel and end of cells along an axis; cell 0 begins at `start`."""
    for number in range(math.floor(-start / size), math.ceil((length - start) / size) + 1):
        begin = max(0, math.ceil(start + number * size - SAME_PLACE))
        end = min(length, math.floor(start + (number + 1) * size + SAME_PLACE))
        if end - begin >= min(size, length) * SLIVER:
            yield number, begin, end


def sheet_groups(sheets: Sequence[Sheet]) -> list[int]:
    """Number the groups of sheets that share ground: sheets with one number belong together."""
    x, y = (abs(side) / 4 for side in (sheets[0].transform.a, sheets[0].transform.e))
    inner = np.array([sheet.bounds for sheet in sheets]) + np.array([x, y, -x, -y])
    boxes, frames = shapely.box(*inner.T), np.array([sheet.frame for sheet in sheets])
    share = shapely.intersects(boxes[:, None], boxes) & (frames[:, None] == frames)
    return connected_components(share)[1].tolist()


def split_units(
    counts: Mapping[Hashable, np.ndarray], shares: Mapping[str, float], seed: int
) -> dict[Hashable, str]:
    """Give each unit of ground to a split, with about `shares` of the pixels of every class.

    `counts` are the pixels (K,) per class of each unit. Of `TRIALS` random splits, the one is taken
    whose classes deviate least from the shares. Raises `UserError` if there are too few units.
    """
    names = [name for name in SPLITS if shares[name] > 0]
    if len(counts) < len(names):
        raise UserError(
            f"{len(counts)} blocks or sheets with labels cannot fill {', '.join(names)}: give a "
            "smaller --block or --size, or more scenes"
        )
    units = sorted(counts, key=repr)
    pixels = np.array([counts[unit] for unit in units], float)
    pixels = pixels[:, pixels.sum(0) > 0]
    pixels /= pixels.sum(0)  # the part of each class that lies in a unit
    goals = np.array([shares[name] for name in names])
    rng = np.random.default_rng(seed)
    best, best_score = np.zeros(len(units), int), np.inf
    for _ in range(TRIALS):
        order = rng.permutation(len(units))
        middles = pixels.mean(1)[order].cumsum() - pixels.mean(1)[order] / 2
        chosen = np.empty(len(units), int)
        chosen[order] = np.searchsorted(goals.cumsum()[:-1], middles)
        chosen[order[: len(names)]] = rng.permutation(len(names))  # no split is empty
        found = np.array([pixels[chosen == k].sum(0) for k in range(len(names))])
        score = np.abs(found - goals[:, None]).sum()
        if score < best_score:
            best, best_score = chosen, score
    return {unit: names[k] for unit, k in zip(units, best, strict=True)}
