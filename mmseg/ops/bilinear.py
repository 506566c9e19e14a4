"""Bilinear interpolation along one axis, as torch's `F.interpolate` computes it."""

import numpy as np


def positions(
    in_size: int, out_size: int, align_corners: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each output lies: index i (out,) int64 and share s (out,) float32 in 0..1.

    The output is (1 - s) * x[i] + s * x[i + 1]; at the upper border, where i + 1 does not exist, s
    stands before x[i] again.
    """
    outputs = np.arange(out_size)
    if align_corners:
        where = outputs * ((in_size - 1) / max(out_size - 1, 1))
    else:
        where = np.maximum((outputs + 0.5) * in_size / out_size - 0.5, 0)
    index = np.minimum(where.astype(np.int64), in_size - 1)
    return index, (where - index).astype(np.float32)


def matrix(in_size: int, out_size: int, align_corners: bool = False) -> np.ndarray:
    """Return the interpolation as a matrix (out, in), float32."""
    index, share = positions(in_size, out_size, align_corners)
    weights = np.zeros((out_size, in_size), np.float32)
    outputs = np.arange(out_size)
    weights[outputs, index] = 1 - share
    weights[outputs, np.minimum(index + 1, in_size - 1)] += share
    return weights
