"""GELU, alone and after a 3x3 depth-wise convolution: loops for numba, for inference.

Multiply-adds are asked for one by one, so that each is one instruction and rounds once, and every
compilation gives the same bits.
"""

from typing import Any

import numpy as np
from numba import njit
from numba.extending import intrinsic

# The normal distribution function is 1/2 + x P(x^2) / Q(x^2) to 2.4e-8 for |x| <= LIMIT, beyond
# which it is 0 or 1 to 1.1e-8. Coefficients from the highest power down: a least squares fit in
# double precision, reweighted until the error had the same size everywhere.
LIMIT = np.float32(5.6)
P6, P5, P4, P3, P2, P1, P0 = np.array(
    [
        1.0802173e-10,
        -2.1997177e-08,
        3.3617579e-06,
        1.8248318e-04,
        4.5876544e-03,
        3.7114012e-02,
        3.9894213e-01,
    ],
    np.float32,
)
Q4, Q3, Q2, Q1, Q0 = np.array(
    [6.6253044e-05, 1.9015660e-03, 2.9786868e-02, 2.5969515e-01, 1.0], np.float32
)


def _multiply_add(typingctx, a, b, c):
    """Return a * b + c, rounded once."""

    def codegen(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return a(a, b, c), codegen


_fma: Any = intrinsic(_multiply_add)


@njit(nogil=True, error_model="numpy", inline="always")
def _gelu(x):
    y = min(max(x, -LIMIT), LIMIT)
    s = y * y
    p = _fma(s, _fma(s, _fma(s, _fma(s, _fma(s, _fma(s, P6, P5), P4), P3), P2), P1), P0)
    q = _fma(s, _fma(s, _fma(s, _fma(s, Q4, Q3), Q2), Q1), Q0)
    return x * (np.float32(0.5) + y * p / q)


@njit(nogil=True, error_model="numpy", cache=True)
def add_and_gelu(x, bias):
    """Replace x (n, C) by GELU(x + bias), float32."""
    for i in range(x.shape[0]):
        for c in range(bias.size):
            x[i, c] = _gelu(x[i, c] + bias[c])


@njit(nogil=True, error_model="numpy", cache=True)
def depthwise_gelu(x, weight, bias, top, height, begin, end, out):
    """Write GELU(3x3 depth-wise convolution) into rows begin..end - 1 of out (n, W, C), float32.

    Row i of out is row top + i of an image with `height` rows; rows i, i + 1 and i + 2 of x
    (n + 2, W, C) are the ones above it, at it and below it, of which those outside the image are
    not read. weight is (3, 3, C). bias (4, 4, C) is that of a pixel by what it has no neighbour
    at: in its first axis 1 above, 2 below, 3 both; in its second 1 left, 2 right, 3 both.
    """
    width, channels = x.shape[1:]
    total = np.empty(channels, np.float32)  # of this function, so that LLVM knows it alone
    absent = np.zeros(channels, np.float32)
    for i in range(begin, end):
        is_first, is_last = top + i == 0, top + i == height - 1
        for column in range(width):
            is_left, is_right = column == 0, column == width - 1
            left, right = max(column - 1, 0), min(column + 1, width - 1)
            start = bias[is_first + 2 * is_last, is_left + 2 * is_right]
            for c in range(channels):
                total[c] = start[c]
            for j in range(is_first, 3 - is_last):
                x0, x1, x2 = x[i + j, left], x[i + j, column], x[i + j, right]
                w0 = absent if is_left else weight[j, 0]
                w1 = weight[j, 1]
                w2 = absent if is_right else weight[j, 2]
                for c in range(channels):
                    total[c] = _fma(w2[c], x2[c], _fma(w1[c], x1[c], _fma(w0[c], x0[c], total[c])))
            pixel = out[i, column]
            for c in range(channels):
                pixel[c] = _gelu(total[c])
