"""The best class of each pixel of an image from coarse logits: a loop for numba.

Plain loops and whole numbers throughout: numba takes a second for each expression of arrays.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def class_rows(logits, tops, down, lefts, across, begin, end, result):
    """Write the classes of the rows `begin` to `end` into `result` (H, W) uint8.

    `logits` is (h, w, K) float32; tops (H,) and lefts (W,) are the first logit of each row and
    column, down (T, H) and across (T, W) the weights of the T logits from there on. Pixels that
    begin at the same logits are a cell, and these logits its corners. A class all of whose corners
    are below all corners of another class cannot win in the cell.
    """
    low, high = np.empty(logits.shape[2], np.float32), np.empty(logits.shape[2], np.float32)
    bottom = begin
    while bottom < end:
        top = bottom
        while bottom < end and tops[bottom] == tops[top]:
            bottom += 1
        rows, right = logits[tops[top] : tops[top] + down.shape[0]], 0
        while right < lefts.size:
            left = right
            while right < lefts.size and lefts[right] == lefts[left]:
                right += 1
            corners = rows[:, lefts[left] : lefts[left] + across.shape[0]]
            _extremes(corners, low, high)
            cell = result[top:bottom, left:right]
            _winners(corners, high, low.max(), down[:, top:bottom], across[:, left:right], cell)


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
    columns, taps = result.shape[1], down.shape[0] * across.shape[0]
    shares = np.empty((taps, result.size), np.float32)
    for t in range(taps):
        for n in range(result.size):
            share = across[t % across.shape[0], n % columns]
            shares[t, n] = down[t // across.shape[0], n // columns] * share
    best = np.full(result.size, -np.inf, np.float32)
    value, ids = np.empty(result.size, np.float32), np.zeros(result.size, np.uint8)
    for k in range(high.size):
        if not high[k] >= least:
            continue
        value[:] = 0
        for t in range(taps):
            corner = corners[t // across.shape[0], t % across.shape[0], k]
            for n in range(value.size):
                value[n] += shares[t, n] * corner
        for n in range(value.size):
            better = value[n] > best[n]
            best[n] = value[n] if better else best[n]
            ids[n] = k if better else ids[n]
    for n in range(ids.size):
        result[n // columns, n % columns] = ids[n]
