"""Sheets: the scenes of a data set, cut along one grid on the ground."""

import math
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from mmseg.errors import UserError, reason
from mmseg.imagery.bands import bits_of
from mmseg.imagery.geotiff import find_bands, names_of, read_valid
from mmseg.raster.georeference import ground_resolution, is_measurable

# A tile at the edge of a scene is left out if a side is shorter than this part of the full one.
SLIVER = 1 / 4
# Pixels of two sheets lie on one grid if they are so near, in pixels.
SAME_PLACE = 1e-3


@lru_cache(maxsize=8)  # a data set may have more files than a process may open
def opened(path: str) -> rasterio.DatasetReader:
    """Open what GDAL finds at `path`; `UserError` if it is no raster."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioError as error:
        raise UserError(f"{path}: not a readable raster ({reason(error)})") from error


class Sheet:
    """A raster that GDAL opens. `frame` is 0 on the common ground, else the sheet's own number.

    `bands` names all bands of the file in their order. By default they are those that the file
    names, but alpha. `nodata` is the value of pixels without image, if the file does not tell.
    """

    def __init__(
        self,
        path: str,
        number: int,
        bands: Sequence[str] | None = None,
        nodata: float | None = None,
    ) -> None:
        self.path, self.name = path, Path(path).stem
        raster = opened(path)
        self.height, self.width = raster.shape
        self.crs, self.transform = raster.crs, raster.transform
        self.is_placed = is_measurable(self.crs, self.transform, self.height, self.width)
        across, down = self.transform.a, self.transform.e
        if self.is_placed and (self.transform.b or self.transform.d or across < 0 or down > 0):
            raise UserError(f"{path}: it is turned; make it north-up with gdalwarp")
        self.frame = 0 if self.is_placed else number + 1
        names = names_of(raster)
        if bands is None:
            self.bands = [name for name in names if name != "alpha"]
            if len(set(self.bands)) < len(self.bands):  # such as gray, undefined, undefined
                self.bands = [f"band {i + 1}" for i in range(len(self.bands))]
            self.numbers = [i + 1 for i, name in enumerate(names) if name != "alpha"]
        else:
            self.bands, self.numbers = list(bands), find_bands(raster, bands)
        self.bits = bits_of(raster.dtypes[self.numbers[0] - 1])
        self.nodata = raster.nodatavals[self.numbers[0] - 1] if nodata is None else nodata
        self.gsd: float | None = None
        if self.is_placed:
            sides = ground_resolution(self.transform, self.crs, self.height, self.width)
            self.gsd = math.sqrt(sides[0] * sides[1])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return self.bounds_of(Window(0, 0, self.width, self.height))

    def place(self, window: Window) -> Affine:
        """Return the transform of a window."""
        return window_transform(window, self.transform)

    def bounds_of(self, window: Window) -> tuple[float, float, float, float]:
        """Return west, south, east and north of a window."""
        place = self.place(window)
        (x0, y0), (x1, y1) = place * (0, 0), place * (window.width, window.height)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, (C, h, w) of `bits`, and which pixels have an image."""
        try:
            image, valid = read_valid(opened(self.path), self.numbers, window)
        except RasterioError as error:
            raise UserError(f"{self.path}: cut short or damaged ({reason(error)})") from error
        if self.nodata is not None:
            valid &= (image != self.nodata).any(axis=0)
        return image.astype(self.bits, copy=False), valid


def open_sheets(
    paths: Sequence[str], bands: Sequence[str] | None, nodata: float | None
) -> list[Sheet]:
    """Open scenes that fit together; `UserError` names the first one that does not, and why."""
    opened.cache_clear()  # the files may have changed since an earlier call
    sheets = [Sheet(path, number, bands, nodata) for number, path in enumerate(paths)]
    first = sheets[0]
    for sheet in sheets[1:]:
        pairs = {
            "bands": [", ".join(s.bands) for s in (first, sheet)],
            "samples of": [first.bits, sheet.bits],
            "CRS": [_crs(first), _crs(sheet)],
        }
        for what, (ours, other) in pairs.items():
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


def _crs(sheet: Sheet) -> str:
    return sheet.crs.to_string() if sheet.is_placed else "none, or no place"


def cells(sheet: Sheet, first: Sheet, size: int) -> Iterator[tuple[tuple[int, int], Window]]:
    """Yield (row, column) of a common grid, and the window of the sheet that lies inside the cell.

    The grid begins at the corner of `first`; a cell is `size` of its pixels wide and high. No pixel
    lies in two windows, so cells of two sheets share ground only if they have the same number.
    """
    origin = first if sheet.frame == 0 else sheet
    axes = []
    for length, start, step, zero, unit in (
        (
            sheet.height,
            sheet.transform.f,
            sheet.transform.e,
            origin.transform.f,
            origin.transform.e,
        ),
        (sheet.width, sheet.transform.c, sheet.transform.a, origin.transform.c, origin.transform.a),
    ):
        scale, offset = unit / step, (zero - start) / step
        numbers = range(
            math.floor(-offset / scale / size), math.ceil((length - offset) / scale / size) + 1
        )
        spans = []
        for number in numbers:
            begin = math.ceil(offset + number * size * scale - SAME_PLACE)
            end = math.floor(offset + (number + 1) * size * scale + SAME_PLACE)
            begin, end = max(0, begin), min(length, end)
            if end - begin >= min(size, length) * SLIVER:
                spans.append((number, begin, end))
        axes.append(spans)
    for row, top, bottom in axes[0]:
        for column, left, right in axes[1]:
            yield (row, column), Window(left, top, right - left, bottom - top)
