"""The class of every pixel of an image from coarse logits, without interpolated logits in memory.

A program takes pixels between the same logits, a cell, and keeps the largest of each class's
interpolated logits that it has met.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmseg.ops.triton.cells import SIDE, cell_of_axis, cells_of, classes_at_once

__all__ = ["TAPS", "best_classes", "cells_of"]

TAPS = 4
"""The most logits per axis that `best_classes` can weigh."""


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
