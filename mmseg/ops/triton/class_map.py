"""The class of every pixel from coarse logits, without interpolated logits in memory."""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Interpolated logits that a program holds.
LOGITS = 4096


@triton.jit
def _best_classes(
    logits_ptr,
    taps,
    result_ptr,
    sizes,
    DOWN: tl.constexpr,
    ACROSS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CLASSES: tl.constexpr,
):
    """Of COLUMNS pixels of a row, which take DOWN x ACROSS neighbouring logits of each class."""
    top_ptr, down_ptr, left_ptr, across_ptr = taps
    width, out_height, out_width, classes = sizes
    y = tl.program_id(1)
    x = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[:, None]
    k = tl.arange(0, CLASSES)[None, :]
    there, known = x < out_width, k < classes
    place = tl.load(top_ptr + y) * width + tl.load(left_ptr + x, there, 0)
    total = tl.zeros((COLUMNS, CLASSES), tl.float32)
    for i in tl.static_range(DOWN):
        row = tl.zeros((COLUMNS, CLASSES), tl.float32)
        for j in tl.static_range(ACROSS):
            share = tl.load(across_ptr + j * out_width + x, there, 0.0)
            at = (place + i * width + j) * classes + k
            row += share * tl.load(logits_ptr + at, there & known, 0.0).to(tl.float32)
        total += tl.load(down_ptr + i * out_height + y) * row
    total = tl.where(known, total, float("-inf"))
    largest = tl.max(total, 1, keep_dims=True)
    first = tl.min(tl.where(total == largest, k, classes - 1), 1, keep_dims=True)
    tl.store(result_ptr + y * out_width + x, first.to(tl.uint8), there)


def best_classes(logits: Tensor, top: Tensor, down: Tensor, left: Tensor, across: Tensor) -> Tensor:
    """Logits (K, h, w) -> the first class of the largest interpolated logit, (H, W) uint8.

    top (H,) and left (W,) are the first logit of each row and column, int32; down (T, H) and across
    (T, W) are the weights of the T logits from there on.
    """
    classes, _, width = logits.shape
    logits = logits.permute(1, 2, 0).contiguous()
    size = down.shape[1], across.shape[1]
    result = torch.empty(size, dtype=torch.uint8, device=logits.device)
    padded = triton.next_power_of_2(classes)
    tile = {"COLUMNS": max(1, LOGITS // padded), "CLASSES": padded}
    tile |= {"DOWN": len(down), "ACROSS": len(across)}
    taps, sizes = (top, down, left, across), (width, *size, classes)
    with torch.cuda.device_of(logits):
        grid = triton.cdiv(size[1], tile["COLUMNS"]), size[0]
        _best_classes[grid](logits, taps, result, sizes, **tile)
    return result
