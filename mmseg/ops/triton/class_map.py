"""The class of every pixel of an image from coarse logits, without interpolated logits in memory.

A program takes a cell: pixels that are interpolated from the same few logits of each class. It
keeps the largest of each class's interpolated logits that it has met.
"""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

# Rows and columns of a cell at most, and classes that a program takes at a time.
SIDE = 8
CLASSES_AT_ONCE = 32
# The most logits per axis that `best_classes` can weigh.
TAPS = 4


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


@triton.jit
def _best_classes(
    logits_ptr,
    rows_ptr,
    columns_ptr,
    down_ptr,
    across_ptr,
    classes_ptr,
    width,
    out_height,
    out_width,
    classes,
    DOWN: tl.constexpr,
    ACROSS: tl.constexpr,
    SIDE: tl.constexpr,
    CLASSES_AT_ONCE: tl.constexpr,
):
    """Of one cell, whose pixels take DOWN x ACROSS neighbouring logits of each class."""
    first_y, rows, top = cell_of_axis(rows_ptr, tl.program_id(1))
    first_x, columns, left = cell_of_axis(columns_ptr, tl.program_id(0))
    y = tl.arange(0, SIDE)[:, None, None]
    x = tl.arange(0, SIDE)[None, :, None]
    logits_ptr += (top * width + left) * classes
    best = tl.full((SIDE, SIDE, CLASSES_AT_ONCE), float("-inf"), tl.float32)
    found = tl.zeros((SIDE, SIDE, CLASSES_AT_ONCE), tl.int32)
    for first in range(0, classes, CLASSES_AT_ONCE):
        k = first + tl.arange(0, CLASSES_AT_ONCE)[None, None, :]
        total = tl.zeros((SIDE, SIDE, CLASSES_AT_ONCE), tl.float32)
        for i in tl.static_range(DOWN):
            row = tl.zeros((1, SIDE, CLASSES_AT_ONCE), tl.float32)
            for j in tl.static_range(ACROSS):
                share = tl.load(across_ptr + j * out_width + first_x + x, x < columns, 0.0)
                z = tl.load(logits_ptr + (i * width + j) * classes + k, k < classes, 0.0)
                row += share * z.to(tl.float32)
            share = tl.load(down_ptr + i * out_height + first_y + y, y < rows, 0.0)
            total += share * row
        larger = (total > best) & (k < classes)
        best = tl.where(larger, total, best)
        found = tl.where(larger, k, found)
    largest = tl.max(best, 2, keep_dims=True)
    result = tl.min(tl.where(best == largest, found, classes - 1), 2, keep_dims=True)
    out_ptr = classes_ptr + (first_y + y) * out_width + first_x + x
    tl.store(out_ptr, result.to(tl.uint8), (y < rows) & (x < columns))


def best_classes(
    logits: Tensor, rows: Tensor, down: Tensor, columns: Tensor, across: Tensor
) -> Tensor:
    """Logits (K, h, w) -> the first class of the largest interpolated logit, (H, W) uint8.

    rows and columns are the cells of the axes, down (T, H) and across (T, W) the weights of the T
    logits from the first input of each output on.
    """
    classes, _, width = logits.shape
    logits = logits.permute(1, 2, 0).contiguous()
    out_height, out_width = down.shape[1], across.shape[1]
    result = torch.empty((out_height, out_width), dtype=torch.uint8, device=logits.device)
    arguments = logits, rows, columns, down, across, result, width, out_height, out_width, classes
    taps = {"DOWN": len(down), "ACROSS": len(across)}
    cell = {"SIDE": SIDE, "CLASSES_AT_ONCE": classes_at_once(classes)}
    with torch.cuda.device_of(logits):
        _best_classes[len(columns), len(rows)](*arguments, **taps, **cell)
    return result
