"""Bilinear interpolation along one axis, read off torch's `F.interpolate`."""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CPU = torch.device("cpu")
# Interpolated logits that torch's operations hold at a time: on a CPU 4 MiB of float32, which stay
# in its cache; on a GPU 256 MiB, because few large operations are faster there.
LOGITS_AT_ONCE = {"cpu": 2**20, "cuda": 2**26}


def rows_at_once(row: int, device: torch.device) -> int:
    """Return how many rows, of `row` logits each, are interpolated at a time."""
    return max(1, LOGITS_AT_ONCE.get(device.type, LOGITS_AT_ONCE["cuda"]) // row)


@lru_cache(maxsize=16)  # also because a copy to a GPU waits for it
def matrix(in_size: int, out_size: int, align_corners: bool, device: torch.device = CPU) -> Tensor:
    """Return the interpolation as a matrix (out, in), float32: the results for unit vectors."""
    unit = torch.eye(in_size)[None, :, :, None]
    size = (out_size, 1)
    columns = F.interpolate(unit, size, mode="bilinear", align_corners=align_corners)
    return columns[0, :, :, 0].T.contiguous().to(device)


@lru_cache(maxsize=16)
def positions(in_size: int, out_size: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return where each output lies: index i (out,) int64 and share s (out,) float32 in 0..1.

    The output is (1 - s) * x[i] + s * x[i + 1]; s is 0 where i + 1 does not exist.
    """
    weights = matrix(in_size, out_size, align_corners).numpy()
    index = (weights != 0).argmax(1)
    return index, 1 - weights[np.arange(out_size), index]
