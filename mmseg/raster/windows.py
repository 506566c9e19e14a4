"""Overlapping windows of a scene: their places, and how they are blended into one map."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor


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
    def starts(self) -> range:
        """The first pixel of each window."""
        return range(0, self.count * self.stride, self.stride)

    @property
    def covered(self) -> int:
        """The end of the last window: the end of the axis or beyond."""
        return self.starts[-1] + self.size

    def strip(self, index: int) -> tuple[int, int]:
        """Return first pixel and end of strip `index`: no window after `index` touches it.

        There is one strip per window. It depends on windows `index - 1` and `index`.
        """
        start = self.starts[index]
        return start, self.length if index == self.count - 1 else start + self.stride

    def part(self, start: int, end: int) -> tuple["WindowAxis", int]:
        """Return the axis of the windows that pixels `start` to `end` depend on, and its origin.

        Its blending weights for these pixels are those of the whole axis.
        """
        origin = self.starts[max(0, start // self.stride - 1)]
        last = self.starts[min(self.count - 1, (end - 1) // self.stride)]
        length = min(last + self.size, self.length) - origin
        return WindowAxis(length, self.size, self.stride), origin

    def weights(self, index: int) -> Tensor:
        """Return the blending weights of window `index`, float32 (size,).

        They rise as sin^2 over the pixels shared with the window before, and fall as cos^2 over
        those shared with the next one. At every pixel the weights of all windows sum to one.
        """
        weights = np.ones(self.size)
        rising = np.sin(np.pi / 2 * (np.arange(self.overlap) + 0.5) / max(self.overlap, 1)) ** 2
        if index > 0:
            weights[: self.overlap] = rising
        if index < self.count - 1:
            weights[self.stride :] = 1 - rising
        return torch.from_numpy(weights.astype(np.float32))


class RowBlender:
    """The weighted sum of one row of windows and of the lower part of the row before.

    Memory is classes x window height x scene width x 4 bytes, whatever the height of the scene.
    Rows of windows come in order: `add` each window of a row, take `strip`, then `next_row`.
    """

    def __init__(
        self, num_classes: int, rows: WindowAxis, columns: WindowAxis, device: torch.device | str
    ) -> None:
        self.rows, self.columns = rows, columns
        self.sum = torch.zeros(num_classes, rows.size, columns.length, device=device)

    def add(self, row: int, column: int, probabilities: Tensor) -> None:
        """Add the probabilities (K, window height, window width) of one window."""
        start = self.columns.starts[column]
        place = self.sum[:, :, start : start + self.columns.size]
        width = place.shape[2]  # less at the end of the axis
        weights = self.rows.weights(row)[:, None] * self.columns.weights(column)[:width]
        place.addcmul_(probabilities[:, :, :width], weights.to(place.device))

    def strip(self, row: int) -> Tensor:
        """Return the finished probabilities of strip `row`, (K, rows, width): a view."""
        start, end = self.rows.strip(row)
        return self.sum[:, : end - start]

    def next_row(self) -> None:
        """Keep the pixels that the next row of windows shares with this one."""
        shared = self.rows.overlap
        self.sum[:, :shared] = self.sum[:, self.rows.stride :]
        self.sum[:, shared:] = 0
