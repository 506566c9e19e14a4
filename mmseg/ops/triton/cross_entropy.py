"""Cross entropy of bilinearly upsampled logits, with its gradient, in one pass over the labels.

A program takes a cell, the pixels between four neighbouring logits of each class, the corners. Each
cell writes its part of the gradient of its corners. They are added in a fixed order: a result has
the same bits every time.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from mmseg.ops import bilinear

# Interpolated logits that a program holds.
LOGITS = 4096


@triton.jit
def _gradient(z, label, counts, class_weight_ptr, classes):
    """Losses, whether they are right (PIXELS, 1), and gradients of pixels with logits z."""
    k = tl.arange(0, z.shape[1])[None, :]
    z = tl.where(k < classes, z, float("-inf"))
    is_label = k == label
    at_label = tl.sum(tl.where(is_label, z, 0.0), 1, keep_dims=True)
    others = tl.max(tl.where(is_label, float("-inf"), z), 1, keep_dims=True)
    best = tl.maximum(at_label, others)
    powers = tl.exp(z - best)
    total = tl.sum(powers, 1, keep_dims=True)
    known = (label >= 0) & (label < classes)
    weight = tl.load(class_weight_ptr + label, counts & known, 0.0)
    weight = tl.where(counts & (known == 0), float("nan"), weight)
    gradient = weight * (powers / total - tl.where(is_label, 1.0, 0.0))
    return weight * (tl.log(total) + best - at_label), counts & (at_label > others), gradient


@triton.jit
def _compare(inputs, outputs, sizes, ignore_index, PIXELS: tl.constexpr, CLASSES: tl.constexpr):
    """Of one cell: the sum, the right pixels, and the gradients (4, classes) of its corners."""
    height, width, out_height, out_width, classes = sizes
    logits_ptr, labels_ptr, class_weight_ptr, rows_ptr, columns_ptr, down_ptr, across_ptr = inputs
    corners_ptr, totals_ptr, rights_ptr = outputs
    column, row, image = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    k = tl.arange(0, CLASSES)
    known = k < classes
    cell = (image * height + row) * width + column
    # The map is padded by a row and a column, in which the last cells have corners without a share.
    first_ptr = logits_ptr + ((image * (height + 1) + row) * (width + 1) + column) * classes + k
    below_ptr = first_ptr + (width + 1) * classes
    first, second = tl.load(first_ptr, known, 0.0), tl.load(first_ptr + classes, known, 0.0)
    third, last = tl.load(below_ptr, known, 0.0), tl.load(below_ptr + classes, known, 0.0)
    total = tl.zeros((PIXELS, 1), tl.float32)
    rights = tl.zeros((PIXELS, 1), tl.int32)
    grads = (tl.zeros((CLASSES,), tl.float32),) * 4
    end = tl.load(columns_ptr + column + 1)
    for y in range(tl.load(rows_ptr + row), tl.load(rows_ptr + row + 1)):
        down = tl.load(down_ptr + y)
        left_z, right_z = first + down * (third - first), second + down * (last - second)
        for start in range(tl.load(columns_ptr + column), end, PIXELS):
            x = start + tl.arange(0, PIXELS)[:, None]
            across = tl.load(across_ptr + x, x < end, 0.0)
            z = left_z[None, :] + across * (right_z - left_z)[None, :]
            label = tl.load(labels_ptr + (image * out_height + y) * out_width + x, x < end, 0)
            counts = (x < end) & (label != ignore_index)
            loss, is_right, grad = _gradient(z, label, counts, class_weight_ptr, classes)
            total += loss
            rights += is_right.to(tl.int32)
            grad_right = tl.sum(grad * across, 0)
            grad_left = tl.sum(grad, 0) - grad_right
            grads = (
                grads[0] + (1 - down) * grad_left,
                grads[1] + (1 - down) * grad_right,
                grads[2] + down * grad_left,
                grads[3] + down * grad_right,
            )
    tl.store(totals_ptr + cell, tl.sum(total))
    tl.store(rights_ptr + cell, tl.sum(rights))
    for i in tl.static_range(4):
        tl.store(corners_ptr + (cell * 4 + i) * classes + k, grads[i], known)


@lru_cache(maxsize=16)
def _axis(
    in_size: int, out_size: int, align_corners: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return where the outputs of each cell begin, and end (in + 1,), and the shares (out,)."""
    index, share = bilinear.positions(in_size, out_size, align_corners)
    bounds = np.searchsorted(index, np.arange(in_size + 1)).astype(np.int32)
    return torch.from_numpy(bounds).to(device), torch.from_numpy(share).to(device)


def compare(
    logits: Tensor, labels: Tensor, class_weight: Tensor, ignore_index: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return sum, right pixels and the gradient of the sum; see `mmseg.ops.cross_entropy`.

    logits (B, K, h, w) float32, labels (B, H, W) int64, class_weight (K,) float32. Labels that are
    neither a class nor ignored make the sum NaN.
    """
    batch, classes, height, width = logits.shape
    padded = F.pad(logits, (0, 1, 0, 1), mode="replicate").permute(0, 2, 3, 1).contiguous()
    rows, down = _axis(height, labels.shape[1], align_corners, logits.device)
    columns, across = _axis(width, labels.shape[2], align_corners, logits.device)
    corners = logits.new_empty((batch, height, width, 4, classes))
    totals, rights = logits.new_empty(batch, height, width), labels.new_empty(batch, height, width)
    sizes = height, width, *labels.shape[1:], classes
    power = triton.next_power_of_2(classes)
    tile = {"PIXELS": min(16, max(1, LOGITS // power)), "CLASSES": power}
    inputs = padded, labels.contiguous(), class_weight, rows, columns, down, across
    outputs = corners, totals, rights
    with torch.cuda.device_of(logits):
        _compare[width, height, batch](inputs, outputs, sizes, ignore_index, **tile)
    grad = corners[..., 0, :].clone()
    grad[:, :, 1:] += corners[:, :, :-1, 1]
    grad[:, 1:] += corners[:, :-1, :, 2]
    grad[:, 1:, 1:] += corners[:, :-1, :-1, 3]
    return totals.sum(), rights.sum(), grad.permute(0, 3, 1, 2)
