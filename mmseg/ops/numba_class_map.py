"""The best class of each pixel of an image from coarse logits: a loop for numba.

Plain loops and whole numbers throughout: numba takes a second for each expression of arrays.
"""

import numpy as np
from numba import njit

TAPS = 3
"""The most logits per axis that `class_rows` can weigh."""


@njit(nogil=True, cache=True)
def class_rows(
    logits, row_bounds, row_starts, row_weights, bounds, starts, weights, area, begin, end, result
):
    """Write the classes of the row segments `begin` to `end` into `result` (H, W) uint8.

    `logits` is (h, w, K) float32; then come the `Taps` of both axes. A cell is where a row segment
    and a column segment cross, at most `area` pixels, means of the same few logits, the corners.
    A class all of whose corners are below all corners of another class cannot win in the cell.
    """
    num_classes = logits.shape[2]
    height, width = row_weights.shape[0], weights.shape[0]
    products = np.zeros((TAPS * TAPS, area), np.float32)
    low, high = np.empty(num_classes, np.float32), np.empty(num_classes, np.float32)
    best, ids = np.empty(area, np.float32), np.empty(area, np.uint8)
    for i in range(begin, end):
        top, bottom = row_bounds[i], row_bounds[i + 1]
        for j in range(starts.size):
            left, right = bounds[j], bounds[j + 1]
            corners = logits[row_starts[i] : row_starts[i] + height, starts[j] : starts[j] + width]
            for a in range(height):
                for b in range(width):
                    n = 0
                    for y in range(top, bottom):
                        for x in range(left, right):
                            products[TAPS * a + b, n] = row_weights[a, y] * weights[b, x]
                            n += 1
            _extremes(corners, low, high)
            least = _maximum(low)
            _winners(corners, products, high, least, (bottom - top) * (right - left), best, ids)
            n = 0
            for y in range(top, bottom):
                for x in range(left, right):
                    result[y, x] = ids[n]
                    n += 1


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
def _maximum(values):
    """Return the maximum and overwrite the values: by halves, which the compiler vectorises."""
    n = values.size
    while n > 1:
        half = (n + 1) // 2
        for k in range(n - half):
            values[k] = values[half + k] if values[half + k] > values[k] else values[k]
        n = half
    return values[0]


@njit(nogil=True)
def _winners(corners, products, high, least, area, best, ids):
    """Set the first `area` of `ids` to the best of the classes that reach `least` in a corner."""
    for n in range(area):
        best[n], ids[n] = -np.inf, 0
    # The weights of taps that are not there are zero: any corner will do for them.
    middle, bottom = min(1, corners.shape[0] - 1), corners.shape[0] - 1
    centre, right = min(1, corners.shape[1] - 1), corners.shape[1] - 1
    for k in range(high.size):
        if not high[k] >= least:
            continue
        a, b, c = corners[0, 0, k], corners[0, centre, k], corners[0, right, k]
        d, e, f = corners[middle, 0, k], corners[middle, centre, k], corners[middle, right, k]
        g, h, i = corners[bottom, 0, k], corners[bottom, centre, k], corners[bottom, right, k]
        for n in range(area):
            value = products[0, n] * a + products[1, n] * b + products[2, n] * c
            value += products[3, n] * d + products[4, n] * e + products[5, n] * f
            value += products[6, n] * g + products[7, n] * h + products[8, n] * i
            better = value > best[n]
            best[n] = value if better else best[n]
            ids[n] = k if better else ids[n]
