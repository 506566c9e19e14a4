"""The weight gradient of a depth-wise convolution: a loop for numba."""

import numpy as np
from numba import njit


@njit(nogil=True)
def _add_products(x, grad, acc):
    """Add the sum over positions of x * grad, float32 (n, C) each, to acc (C,)."""
    for i in range(grad.shape[0]):
        for c in range(grad.shape[1]):
            acc[c] += x[i, c] * grad[i, c]


@njit(nogil=True, cache=True)
def rows_weight_gradient(x, grad, first, last, result):
    """Add the weight gradient of rows first..last - 1 of one image to `result`.

    x and grad are float32 (H, W, C), channels last, of a convolution of stride 1 that keeps the
    size; result is float64 (kernel height, kernel width, C). Each row is summed in float32.
    """
    height, width, channels = x.shape
    kernel_height, kernel_width, _ = result.shape
    acc = np.empty(channels, np.float32)
    for row in range(first, last):
        for i in range(kernel_height):
            source = row + i - kernel_height // 2
            if source < 0 or source >= height:
                continue
            for j in range(kernel_width):
                shift = j - kernel_width // 2
                start, end = max(0, -shift), min(width, width - shift)
                if start >= end:
                    continue
                for c in range(channels):
                    acc[c] = 0
                _add_products(x[source, start + shift : end + shift], grad[row, start:end], acc)
                for c in range(channels):
                    result[i, j, c] += acc[c]
