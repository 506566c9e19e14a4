"""The filters of PNG: a loop for numba."""

import numpy as np
from numba import njit

NONE, SUB, UP, AVERAGE, PAETH = range(5)


@njit(nogil=True, cache=True)
def unfilter(filtered, values):
    """Undo the filter of each row, for one byte per pixel; False for a filter that is not known.

    `filtered` is uint8 (H, 1 + W), each row begins with the number of its filter; `values` is uint8
    (H, W), written here. In label maps most neighbours are equal: that is asked first.
    """
    above = np.zeros(values.shape[1], np.uint8)
    for y in range(values.shape[0]):
        kind, coded, row = filtered[y, 0], filtered[y, 1:], values[y]
        left = corner = np.int64(0)
        if kind == NONE:
            for x in range(row.shape[0]):
                row[x] = coded[x]
        elif kind == UP:
            for x in range(row.shape[0]):
                row[x] = coded[x] + above[x]
        elif kind == SUB:
            for x in range(row.shape[0]):
                left = (coded[x] + left) & 255
                row[x] = left
        elif kind == AVERAGE:
            for x in range(row.shape[0]):
                left = (coded[x] + (left + above[x]) // 2) & 255
                row[x] = left
        elif kind == PAETH:
            for x in range(row.shape[0]):
                up = np.int64(above[x])
                if up == corner:
                    nearest = left
                elif left == corner:
                    nearest = up
                else:
                    nearest = _paeth(left, up, corner)
                left, corner = (coded[x] + nearest) & 255, up
                row[x] = left
        else:
            return False
        above = row
    return True


@njit(nogil=True)
def _paeth(left, up, corner):
    to_left, to_up = abs(up - corner), abs(left - corner)
    to_corner = abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
