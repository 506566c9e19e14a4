"""Where the windows of a scene lie, and which rows of the map are finished after which of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import rasterio
from rasterio.windows import Window

from mmseg.errors import UserError


@dataclass(frozen=True)
class WindowAxis:
    """Windows of `size` pixels, one every `stride`, along an axis of `length` pixels.

    The first begins at 0 and the last may reach over the end, so that the grid depends on the
    origin alone: two rasters whose origins are a multiple of `stride` apart share their windows.
    A pixel lies in at most two windows, since `stride` is at least half of `size`.
    """

    length: int
    size: int
    stride: int

    @property
    def count(self) -> int:
        """How many windows cover the axis."""
        return max(0, ceil((self.length - self.size) / self.stride)) + 1

    @property
    def overlap(self) -> int:
        """How many pixels neighbouring windows share."""
        return self.size - self.stride

    @property
    def covered(self) -> int:
        """Where the last window ends: at the end of the axis or beyond."""
        return self.start(self.count - 1) + self.size

    def start(self, index: int) -> int:
        """Where window `index` begins."""
        return index * self.stride

    def strip(self, index: int) -> tuple[int, int]:
        """First pixel and end of strip `index`: what no window after `index` touches any more.

        There is one strip per window; it depends on windows `index - 1` and `index`.
        """
        start = self.start(index)
        return start, self.length if index == self.count - 1 else start + self.stride


def window_axis(length: int, size: int, overlap: float) -> WindowAxis:
    """Lay windows of `size` pixels that share the fraction `overlap` (0 to 0.5) with the next."""
    if not 0 <= overlap <= 0.5:
        raise UserError(f"the overlap is {overlap}: choose a fraction from 0 to 0.5")
    return WindowAxis(length, size, size - int(size * overlap))


def rows_for_strips(strips: list[int]) -> list[tuple[int, bool]]:
    """List the rows of windows to predict for some strips, in order: (row, its strip is wanted).

    Where the strip before is not wanted, its row is still needed for the lower half of its windows.
    """
    rows: list[tuple[int, bool]] = []
    previous = -1
    for strip in strips:
        if strip - 1 != previous:
            rows.append((strip - 1, False))
        rows.append((strip, True))
        previous = strip
    return rows


def row_windows(raster: rasterio.DatasetReader, rows: int) -> Iterator[Window]:
    """Divide a raster into windows of its whole width, `rows` high, the last maybe less."""
    for top in range(0, raster.height, rows):
        yield Window(0, top, raster.width, min(rows, raster.height - top))
