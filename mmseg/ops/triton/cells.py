"""Cells of an image: pixels that are interpolated from the same few values of a coarse map."""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

# Rows and columns of a cell at most, and classes that a program takes at a time.
SIDE = 8
CLASSES_AT_ONCE = 32


def cells_of(first_inputs: np.ndarray) -> Tensor:
    """Cut an axis into cells, given the first input (out,) of each output.

    Returns (cells, 3) int32: first output, how many there are (at most SIDE), first input.
    """
    cells = []
    starts = np.flatnonzero(np.diff(first_inputs, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(first_inputs)], strict=True):
        for first in range(start, end, SIDE):
            cells.append((first, min(SIDE, end - first), first_inputs[start]))
    return torch.tensor(np.array(cells), dtype=torch.int32)


def classes_at_once(classes: int) -> int:
    """Return how many classes a program takes at a time, a power of two."""
    return min(CLASSES_AT_ONCE, triton.next_power_of_2(classes))


@triton.jit
def cell_of_axis(table_ptr, index):
    """Read a row of `cells_of`."""
    table_ptr += 3 * index
    return tl.load(table_ptr), tl.load(table_ptr + 1), tl.load(table_ptr + 2)
