"""Softmax cross entropy of pixels with its gradient: one pass over the logits."""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Logits that a program takes at a time.
LOGITS = 4096


@triton.jit
def _compare(
    logits_ptr,
    labels_ptr,
    class_weight_ptr,
    losses_ptr,
    rights_ptr,
    pixels,
    classes,
    ignore_index,
    PIXELS: tl.constexpr,
    CLASSES: tl.constexpr,
):
    """Of PIXELS pixels: loss, whether they are right, and the gradient in place of the logits."""
    pixel = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)[:, None]
    k = tl.arange(0, CLASSES)[None, :]
    there = pixel < pixels
    label = tl.load(labels_ptr + pixel, there, 0).to(tl.int32)
    is_label = k == label
    logits_ptr += pixel * classes + k
    z = tl.load(logits_ptr, there & (k < classes), float("-inf"))
    at_label = tl.sum(tl.where(is_label, z, 0.0), 1, keep_dims=True)
    others = tl.max(tl.where(is_label, float("-inf"), z), 1, keep_dims=True)
    best = tl.maximum(at_label, others)
    powers = tl.exp(z - best)
    total = tl.sum(powers, 1, keep_dims=True)
    counts, known = there & (label != ignore_index), (label >= 0) & (label < classes)
    weight = tl.load(class_weight_ptr + label, counts & known, 0.0)
    weight = tl.where(counts & (known == 0), float("nan"), weight)
    tl.store(losses_ptr + pixel, weight * (tl.log(total) + best - at_label), there)
    tl.store(rights_ptr + pixel, (counts & (at_label > others)).to(tl.int32), there)
    gradient = weight * (powers / total - tl.where(is_label, 1.0, 0.0))
    tl.store(logits_ptr, gradient, there & (k < classes))


def compare(
    logits: Tensor, labels: Tensor, class_weight: Tensor, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return sum and right pixels of logits (P, K), float32, which become the gradient of the sum.

    labels are (P,) integers, class_weight (K,) float32. Labels that are neither a class nor ignored
    make the sum NaN.
    """
    pixels, classes = logits.shape
    losses = logits.new_empty(pixels)
    rights = logits.new_empty(pixels, dtype=torch.int32)
    padded = triton.next_power_of_2(classes)
    tile = {"PIXELS": max(1, LOGITS // padded), "CLASSES": padded}
    grid = (triton.cdiv(pixels, tile["PIXELS"]),)
    with torch.cuda.device_of(logits):
        _compare[grid](
            logits, labels, class_weight, losses, rights, pixels, classes, ignore_index, **tile
        )
    return losses.sum(), rights.sum()
