"""The places of a scene's windows, and the rows of the map that each row of windows finishes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from mmseg.errors import UserError


@dataclass(frozen=True)
class WindowAxis:
    """Windows of `size` pixels, one every `stride`, along an axis of `length` pixels.

    The first window begins at 0 and the last one may reach over the end. The grid depends on the
    origin alone: if the origins of two rasters are a multiple of `stride` apart, they share their
    windows. A pixel lies in at most two windows, since `stride` is at least half of `size`.
    """

    length: int
    size: int
    stride: int

    @property
    def count(self) -> int:
        """The number of windows that cover the axis."""
        return max(0, ceil((self.length - self.size) / self.stride)) + 1

    @property
    def overlap(self) -> int:
        """The number of pixels that neighbouring windows share."""
        return self.size - self.stride

    @property
    def starts(self) -> list[int]:
        """The first pixel of each window."""
        return [self.start(index) for index in range(self.count)]

    @property
    def covered(self) -> int:
        """The end of the last window: the end of the axis or beyond."""
        return self.start(self.count - 1) + self.size

    def start(self, index: int) -> int:
        """Return the first pixel of window `index`."""
        return index * self.stride

    def strip(self, index: int) -> tuple[int, int]:
        """Return first pixel and end of strip `index`: no window after `index` touches it.

        There is one strip per window. It depends on windows `index - 1` and `index`.
        """
        start = self.start(index)
        return start, self.length if index == self.count - 1 else start + self.stride


def window_axis(length: int, size: int, overlap: float) -> WindowAxis:
    """Lay windows of `size` pixels that share the fraction `overlap` (0 to 0.5) with the next."""
    if not 0 <= overlap <= 0.5:
        raise UserError(f"the overlap is {overlap}: choose a fraction from 0 to 0.5")
    return WindowAxis(length, size, size - int(size * overlap))


def rows_for_strips(strips: Sequence[int]) -> list[tuple[int, bool]]:
    """List the rows of windows to predict for some strips, in order: (row, its strip is wanted).

    The lower half of the row before is a part of a strip. This row is predicted again if its own
    strip is not wanted.
    """
    rows = set(strips) | {strip - 1 for strip in strips if strip > 0}
    return [(row, row in set(strips)) for row in sorted(rows)]
