"""Softmax cross entropy of bilinearly upsampled logits, pixel by pixel: a loop for numba.

Class vectors are padded to `LANES`. LLVM then turns every loop over them into vector instructions.
There are no fast-math flags: with them, the bits would depend on the version of the compiler.
"""

import numpy as np
from numba import njit

LANES = 16
# Of a padding class: exp of its difference to any real logit is 0, and no product of it is NaN.
NO_CLASS = np.float32(-1e30)

LOG2_E = np.float32(1.44269504)
# ln 2 in two parts, so that r below keeps all bits (Cody and Waite).
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# Below, 2**n is no normal float32.
LOWEST = np.float32(-87.0)
# A sum of exponentials that lost classes to LOWEST.
VANISHED = np.float32(1e-20)


@njit(nogil=True)
def _blend(source, first, second, share, target):
    """Set row 0 of `target` between rows `first` and `second` of `source`."""
    for k in range(source.shape[1]):
        start = source[first, k]
        target[0, k] = start + share * (source[second, k] - start)


@njit(nogil=True)
def _spread(source, scale, share, target, first, second):
    """Add `scale` times row 0 of `source` to the rows that `_blend` would make it from."""
    a, b = scale * (np.float32(1) - share), scale * share
    for k in range(source.shape[1]):
        target[first, k] += a * source[0, k]
        target[second, k] += b * source[0, k]


@njit(nogil=True)
def _blend_rows(above, below, share, row, tops):
    """Set `row` (w, K) between two rows of logits, and `tops` (w,) to its largest values."""
    for x in range(row.shape[0]):
        top = NO_CLASS
        for k in range(row.shape[1]):
            row[x, k] = above[x, k] + share * (below[x, k] - above[x, k])
            top = max(top, row[x, k])
        tops[x] = top


@njit(nogil=True)
def _spread_rows(row_grad, share, above, below):
    """Add the gradient of the `row` of `_blend_rows` to those of its two rows; set it to 0."""
    for x in range(row_grad.shape[0]):
        for k in range(row_grad.shape[1]):
            above[x, k] += (np.float32(1) - share) * row_grad[x, k]
            below[x, k] += share * row_grad[x, k]
            row_grad[x, k] = 0


@njit(nogil=True)
def _sum(values, lanes):
    """Return the sum, in an order that has vector instructions: by lanes, then halves of these."""
    for lane in range(LANES):
        lanes[lane] = 0
    for start in range(0, values.size, LANES):
        for lane in range(LANES):
            lanes[lane] += values[start + lane]
    for half in (LANES // 2, LANES // 4, LANES // 8, LANES // 16):
        for lane in range(half):
            lanes[lane] += lanes[half + lane]
    return lanes[0]


@njit(nogil=True)
def _exponentials(values, top, reduced, bits, power, lanes, result):
    """Fill row 0 of `result` with exp(values - top) and return its sum; `power` views `bits`."""
    for k in range(values.shape[1]):
        x = max(values[0, k] - top, LOWEST)
        n = np.floor(x * LOG2_E + np.float32(0.5))
        reduced[k] = x - n * LN2_HIGH - n * LN2_LOW
        bits[k] = (np.int32(n) + np.int32(127)) << np.int32(23)
    for k in range(values.shape[1]):
        # exp(r) for |r| <= ln(2) / 2 by its Taylor series: the first term left out is below 2e-8.
        r = reduced[k]
        p = np.float32(1 / 720) + r * np.float32(1 / 5040)
        p = np.float32(1 / 120) + r * p
        p = np.float32(1 / 24) + r * p
        p = np.float32(1 / 6) + r * p
        p = np.float32(1 / 2) + r * p
        result[0, k] = (np.float32(1) + r * (np.float32(1) + r * p)) * power[k]
    return _sum(result[0], lanes)


@njit(nogil=True)
def _is_largest(values, label):
    """Whether `label` is the first index of the largest value in row 0."""
    ahead = np.int32(0)
    for k in range(label):
        ahead += np.int32(values[0, k] >= values[0, label])
    for k in range(label + 1, values.shape[1]):
        ahead += np.int32(values[0, k] > values[0, label])
    return ahead == 0


@njit(nogil=True, cache=True)
def rows_cross_entropy(
    logits, labels, weight, ignore_index, down, down_share, across, across_share, grad
):
    """Sum the loss of some rows of one image and add its gradient to `grad`.

    logits and grad are finite float32 (h, w, K padded to LANES); labels int64 (rows, W); weight
    float32 (K,). Row y of the labels lies between rows down[y] and down[y] + 1 of the logits, at
    the share down_share[y] of the way, and column x likewise; places beyond the border count as
    the border. Returns the sum and the number of rightly classified pixels, -1 for a label that is
    no class.
    """
    height, width, classes = logits.shape
    row, tops = np.empty((width, classes), np.float32), np.empty(width, np.float32)
    row_grad = np.zeros((width, classes), np.float32)
    values, result = np.empty((1, classes), np.float32), np.empty((1, classes), np.float32)
    reduced, bits = np.empty(classes, np.float32), np.empty(classes, np.int32)
    power, lanes = bits.view(np.float32), np.empty(LANES, np.float32)
    total, right = 0.0, 0
    for y in range(labels.shape[0]):
        y0, y1 = down[y], min(down[y] + 1, height - 1)
        _blend_rows(logits[y0], logits[y1], down_share[y], row, tops)
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label == ignore_index:
                continue
            if label < 0 or label >= weight.size:
                return total, -1
            left, end = across[x], min(across[x] + 1, width - 1)
            _blend(row, left, end, across_share[x], values)
            # A bound of all values; it is close enough if no exponential vanishes.
            top = max(tops[left], tops[end])
            exp_sum = _exponentials(values, top, reduced, bits, power, lanes, result)
            if exp_sum < VANISHED:
                top = NO_CLASS
                for k in range(classes):
                    top = max(top, values[0, k])
                exp_sum = _exponentials(values, top, reduced, bits, power, lanes, result)
            total += weight[label] * (np.log(exp_sum) - (values[0, label] - top))
            right += _is_largest(values, label)
            result[0, label] -= exp_sum
            _spread(result, weight[label] / exp_sum, across_share[x], row_grad, left, end)
        _spread_rows(row_grad, down_share[y], grad[y0], grad[y1])
    return total, right
