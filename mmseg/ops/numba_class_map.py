"""The best class of each pixel of an image from coarse logits: a loop for numba.

Plain loops and whole numbers throughout: numba takes a second for each expression of arrays.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def class_rows(
    logits, row_bounds, row_starts, row_weights, bounds, starts, weights, begin, end, result
):
    """Write the classes of the row segments `begin` to `end` into `result` (H, W) uint8.

    `logits` is (h, w, K) float32; then come the `Taps` of both axes. A cell is where a row segment
    and a column segment cross. Its pixels are means of the same few logits, the corners. A class
    all of whose corners are below all corners of another class cannot win in the cell.
    """
    height, width, classes = row_weights.shape[0], weights.shape[0], logits.shape[2]
    low, high = np.empty(classes, np.float32), np.empty(classes, np.float32)
    for i in range(begin, end):
        top, bottom = row_bounds[i], row_bounds[i + 1]
        for j in range(starts.size):
            left, right = bounds[j], bounds[j + 1]
            corners = logits[row_starts[i] : row_starts[i] + height, starts[j] : starts[j] + width]
            _extremes(corners, low, high)
            cell = (
                row_weights[:, top:bottom],
                weights[:, left:right],
                result[top:bottom, left:right],
            )
            _winners(corners, high, low.max(), *cell)


@njit(nogil=True)
def _extremes(corners, low, high):
    for k in range(low.size):
        low[k] = high[k] = corners[0, 0, k]
    for a in range(corners.shape[0]):
        for b in range(corners.shape[1]):
            for k in range(low.size):
                value = corners[a, b, k]
                low[k] = value if value < low[k] else low[k]
                high[k] = value if value > high[k] else high[k]


@njit(nogil=True)
def _winners(corners, high, least, down, across, result):
    """Write the best of the classes that reach `least` in a corner of a cell."""
    rows, columns = result.shape
    best = np.full(rows * columns, -np.inf, np.float32)
    value, ids = np.empty(rows * columns, np.float32), np.zeros(rows * columns, np.uint8)
    for k in range(high.size):
        if not high[k] >= least:
            continue
        value[:] = 0
        for a in range(down.shape[0]):
            for b in range(across.shape[0]):
                for y in range(rows):
                    share = down[a, y] * corners[a, b, k]
                    for x in range(columns):
                        value[y * columns + x] += share * across[b, x]
        for n in range(value.size):
            better = value[n] > best[n]
            best[n] = value[n] if better else best[n]
            ids[n] = k if better else ids[n]
    for n in range(ids.size):
        result[n // columns, n % columns] = ids[n]
