"""Cross entropy of bilinearly upsampled logits, with its gradient, in one pass over the labels.

A program takes the pixels between four neighbouring logits of each class, a cell, and keeps their
interpolated logits in registers. Each cell writes its part of the gradient of its four corners.
A second kernel adds the parts in a fixed order: a result has the same bits every time.
"""

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmseg.ops import bilinear
from mmseg.ops.triton.class_map import SIDE, cell_of_axis, cells_of, classes_at_once


@triton.jit
def _interpolate(logits_ptr, k, place, classes):
    """Logits (SIDE, SIDE, classes k) of a cell whose first corner is at logits_ptr.

    They are -inf for k that are no classes. `place` holds the shares of the second row and column,
    whether there is a column to the right and a row below, and the distance of the latter.
    """
    down, across, right, below, to_below = place
    known = k < classes
    first = tl.load(logits_ptr + k, known, 0.0).to(tl.float32)
    second = tl.load(logits_ptr + classes + k, known & right, 0.0).to(tl.float32)
    third = tl.load(logits_ptr + to_below + k, known & below, 0.0).to(tl.float32)
    last = tl.load(logits_ptr + to_below + classes + k, known & right & below, 0.0).to(tl.float32)
    upper, lower = first + across * (second - first), third + across * (last - third)
    return tl.where(known, upper + down * (lower - upper), float("-inf"))


@triton.jit
def _softmax(
    logits_ptr, place, classes, SIDE: tl.constexpr, AT_ONCE: tl.constexpr, TIMES: tl.constexpr
):
    """Powers e^(z - best), their sum, the largest logit best, and its first class, of a cell.

    The powers are a tuple of TIMES tensors (SIDE, SIDE, AT_ONCE).
    """
    shape: tl.constexpr = (SIDE, SIDE, AT_ONCE)
    logits = ()
    largest = tl.full(shape, float("-inf"), tl.float32)
    found = tl.zeros(shape, tl.int32)
    for i in tl.static_range(TIMES):
        k = (i * AT_ONCE + tl.arange(0, AT_ONCE))[None, None, :]
        z = _interpolate(logits_ptr, k, place, classes)
        logits = logits + (z,)  # type: ignore[assignment] # noqa: RUF005
        found = tl.where(z > largest, k, found)
        largest = tl.maximum(largest, z)
    best = tl.max(largest, 2, keep_dims=True)
    found = tl.min(tl.where(largest == best, found, classes), 2, keep_dims=True)
    powers = ()
    total = tl.zeros(shape, tl.float32)
    for i in tl.static_range(TIMES):
        power = tl.exp(logits[i] - best)
        powers = powers + (power,)  # type: ignore[assignment] # noqa: RUF005
        total += power
    return powers, tl.sum(total, 2, keep_dims=True), best, found


@triton.jit
def _store_corners(corner_ptr, k, grad, down, across, classes):
    """Write the gradients (4, classes k) of the corners of a cell, from those of its pixels."""
    lower = tl.sum(grad * down, 0)
    upper = tl.sum(grad, 0) - lower
    upper_right, lower_right = tl.sum(upper * across, 0), tl.sum(lower * across, 0)
    tl.store(corner_ptr + k, tl.sum(upper, 0) - upper_right, k < classes)
    tl.store(corner_ptr + classes + k, upper_right, k < classes)
    tl.store(corner_ptr + 2 * classes + k, tl.sum(lower, 0) - lower_right, k < classes)
    tl.store(corner_ptr + 3 * classes + k, lower_right, k < classes)


@triton.jit
def _pixels(labels_ptr, axes, out_height, out_width, SIDE: tl.constexpr):
    """Place in the logits, shares, whether it is inside, and label of each pixel of a cell."""
    rows_ptr, columns_ptr, down_ptr, across_ptr = axes
    first_y, rows, top = cell_of_axis(rows_ptr, tl.program_id(1))
    first_x, columns, left = cell_of_axis(columns_ptr, tl.program_id(0))
    y = tl.arange(0, SIDE)[:, None, None]
    x = tl.arange(0, SIDE)[None, :, None]
    down = tl.load(down_ptr + first_y + y, y < rows, 0.0)
    across = tl.load(across_ptr + first_x + x, x < columns, 0.0)
    inside = (y < rows) & (x < columns)
    image = tl.program_id(2).to(tl.int64)
    label_ptr = labels_ptr + (image * out_height + first_y + y) * out_width + first_x + x
    return top, left, down, across, inside, tl.load(label_ptr, inside, 0).to(tl.int32)


@triton.jit
def _compare(
    logits_ptr,
    labels_ptr,
    class_weight_ptr,
    axes,
    corners_ptr,
    totals_ptr,
    rights_ptr,
    sizes,
    ignore_index,
    SIDE: tl.constexpr,
    CLASSES_AT_ONCE: tl.constexpr,
    TIMES: tl.constexpr,
):
    """Of one cell: the sum, the right pixels, and the gradients (4, classes) of its corners."""
    height, width, out_height, out_width, classes = sizes
    image = tl.program_id(2).to(tl.int64)
    cell = (image * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(0)
    top, left, down, across, inside, label = _pixels(labels_ptr, axes, out_height, out_width, SIDE)
    counts = inside & (label != ignore_index)
    logits_ptr += ((image * height + top) * width + left) * classes
    # Corners outside the map have no share; they are not read.
    place = down, across, left + 1 < width, top + 1 < height, width * classes
    powers, total, best, found = _softmax(logits_ptr, place, classes, SIDE, CLASSES_AT_ONCE, TIMES)
    known = (label >= 0) & (label < classes)
    weight = tl.load(class_weight_ptr + label, counts & known, 0.0)
    weight = tl.where(counts & (known == 0), float("nan"), weight)
    at_label = _interpolate(logits_ptr, tl.where(known, label, 0), place, classes)
    tl.store(totals_ptr + cell, tl.sum(weight * (tl.log(total) + best - at_label)))
    tl.store(rights_ptr + cell, tl.sum((counts & (found == label)).to(tl.int32)))
    for i in tl.static_range(TIMES):
        k = i * CLASSES_AT_ONCE + tl.arange(0, CLASSES_AT_ONCE)
        grad = weight / total * powers[i] - tl.where(k[None, None, :] == label, weight, 0.0)
        column_share = tl.reshape(across, (SIDE, 1))
        _store_corners(corners_ptr + cell * 4 * classes, k, grad, down, column_share, classes)


@triton.jit
def _sum_corners(
    corners_ptr,
    row_bounds_ptr,
    column_bounds_ptr,
    grad_ptr,
    cell_rows,
    cell_columns,
    height,
    width,
    classes,
    CLASSES: tl.constexpr,
):
    """Sum the parts of the gradient (classes) of one position from the cells around it."""
    column, row, image = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    k = tl.arange(0, CLASSES)
    total = tl.zeros((CLASSES,), tl.float32)
    for lower in tl.static_range(2):
        # The position is an upper corner of its own cells and a lower one of those above.
        first_row = tl.load(row_bounds_ptr + row - lower + 1)
        end_row = tl.load(row_bounds_ptr + row - lower + 2)
        for right in tl.static_range(2):
            first_column = tl.load(column_bounds_ptr + column - right + 1)
            end_column = tl.load(column_bounds_ptr + column - right + 2)
            for y in range(first_row, end_row):
                for x in range(first_column, end_column):
                    cell = (image * cell_rows + y) * cell_columns + x
                    at = (cell * 4 + 2 * lower + right) * classes
                    total += tl.load(corners_ptr + at + k, k < classes, 0.0)
    grad_ptr += ((image * height + row) * width + column) * classes
    tl.store(grad_ptr + k, total.to(grad_ptr.dtype.element_ty), k < classes)


@lru_cache(maxsize=16)
def _axis(
    in_size: int, out_size: int, align_corners: bool, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cells of an axis, where those of each first input begin (in + 2, from input -1
    on, which has none), and the share of the second input in each output (out,).
    """
    index, share = bilinear.positions(in_size, out_size, align_corners)
    cells = cells_of(index)
    bounds = torch.searchsorted(cells[:, 2].contiguous(), torch.arange(-1, in_size + 1))
    return cells.to(device), bounds.int().to(device), torch.from_numpy(share).to(device)


@torch.library.custom_op("mmseg::upsampled_cross_entropy", mutates_args=())
def compare(
    logits: Tensor, labels: Tensor, class_weight: Tensor, ignore_index: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum, right pixels and the gradient of the sum; see `mmseg.ops.cross_entropy`.

    logits (B, K, h, w), labels (B, H, W) of integers, class_weight (K,). The gradient is of the
    logits' dtype and channels_last. Labels that are neither a class nor ignored make the sum NaN.
    """
    batch, classes, height, width = logits.shape
    logits = logits.contiguous(memory_format=torch.channels_last)
    labels = labels.contiguous()
    out_height, out_width = labels.shape[1:]
    rows, row_bounds, down = _axis(height, out_height, align_corners, logits.device)
    columns, column_bounds, across = _axis(width, out_width, align_corners, logits.device)
    cells = (batch, len(rows), len(columns))
    corners = logits.new_empty((*cells, 4, classes), dtype=torch.float32)
    totals = logits.new_empty(cells, dtype=torch.float32)
    rights = logits.new_empty(cells, dtype=torch.int32)
    at_once = classes_at_once(classes)
    grad = torch.empty_like(logits)
    inputs = logits, labels, class_weight.float(), (rows, columns, down, across)
    sizes = height, width, out_height, out_width, classes
    times = triton.cdiv(classes, at_once)
    constants = {"SIDE": SIDE, "CLASSES_AT_ONCE": at_once, "TIMES": times}
    with torch.cuda.device_of(logits):
        _compare[cells[::-1]](*inputs, corners, totals, rights, sizes, ignore_index, **constants)
        bounds, sizes = (row_bounds, column_bounds), (*cells[1:], height, width, classes)
        padded = triton.next_power_of_2(classes)
        _sum_corners[width, height, batch](corners, *bounds, grad, *sizes, CLASSES=padded)
    return totals.sum(), rights.sum(), grad


@compare.register_fake
def _(
    logits: Tensor, labels: Tensor, class_weight: Tensor, ignore_index: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    total = logits.new_empty((), dtype=torch.float32)
    grad = torch.empty_like(logits, memory_format=torch.channels_last)
    return total, logits.new_empty((), dtype=torch.int64), grad
