"""Overlapping windows blended into one map, a row of windows at a time."""

import numpy as np
import torch
from torch import Tensor

from mmseg.raster.windows import WindowAxis


def blend_weights(axis: WindowAxis, index: int) -> np.ndarray:
    """Return the weights of window `index` along an axis, float32 (size,).

    They rise as sin^2 over the pixels shared with the window before, and fall as cos^2 over those
    shared with the next one. At every pixel the weights of all windows sum to one.
    """
    weights = np.ones(axis.size)
    rising = np.sin(np.pi / 2 * (np.arange(axis.overlap) + 0.5) / max(axis.overlap, 1)) ** 2
    if index > 0:
        weights[: axis.overlap] = rising
    if index < axis.count - 1:
        weights[axis.stride :] = 1 - rising
    return weights.astype(np.float32)


class RowBlender:
    """The weighted sum of one row of windows and of the lower part of the row before.

    Memory is classes x window height x scene width x 4 bytes, whatever the height of the scene.
    Rows of windows come in order: `add` each window of a row, take `strip`, then `next_row`.
    """

    def __init__(
        self, num_classes: int, rows: WindowAxis, columns: WindowAxis, device: torch.device | str
    ) -> None:
        self.rows = rows
        self.columns = columns
        self.sum = torch.zeros(num_classes, rows.size, columns.length, device=device)

    def add(self, row: int, column: int, probabilities: Tensor) -> None:
        """Add the probabilities (K, window height, window width) of one window."""
        start = self.columns.start(column)
        end = min(start + self.columns.size, self.columns.length)
        down = self._weights(self.rows, row)[:, None]
        across = self._weights(self.columns, column)[: end - start]
        self.sum[:, :, start:end].addcmul_(probabilities[:, :, : end - start], down * across)

    def strip(self, row: int) -> Tensor:
        """Return the finished probabilities of strip `row`, (K, rows, width): a view."""
        start, end = self.rows.strip(row)
        return self.sum[:, : end - start]

    def next_row(self) -> None:
        """Keep the pixels that the next row of windows shares with this one."""
        shared = self.rows.overlap
        self.sum[:, :shared] = self.sum[:, self.rows.stride :]
        self.sum[:, shared:] = 0

    def _weights(self, axis: WindowAxis, index: int) -> Tensor:
        return torch.from_numpy(blend_weights(axis, index)).to(self.sum.device)
