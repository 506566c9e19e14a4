"""What the decoder computes: linear maps in the order that costs least, and a factorisation.

Non-negative matrix factorisation (https://arxiv.org/abs/2109.04553) makes of a map x (B, D, N), D
channels by N = H * W positions, bases (B, D, R) times coef^T, with coef (B, N, R). It starts from
coef = softmax(x^T bases). Each step multiplies

    coef  <- coef  * (x^T bases) / (coef (bases^T bases))
    bases <- bases * (x coef)    / (bases (coef^T coef))
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6


def conv_of_levels(conv: nn.Conv2d, levels: Sequence[Tensor], align_corners: bool) -> Tensor:
    """Apply a 1x1 convolution to maps that are resized to the size of the first and concatenated.

    Maps (B, C_i, h_i, w_i) become (B, C, h_1, w_1). The convolution of a concatenation is the sum
    of the convolutions of its parts, and a 1x1 convolution commutes with bilinear resizing. So each
    map goes through its part of the weight (C, sum of C_i, 1, 1) at its own size.
    """
    first, *others = levels
    widths = [int(level.shape[1]) for level in levels]  # numbers, also in a trace
    if torch.jit.is_tracing():  # the exporter computes these parts, and the engine gets constants
        ends = accumulate(widths)
        parts = [conv.weight[:, end - width : end] for width, end in zip(widths, ends, strict=True)]
    else:  # as a matrix: a gradient put together from 4-d parts would not be contiguous
        parts = [part[:, :, None, None] for part in conv.weight.flatten(1).split(widths, dim=1)]
    total = F.conv2d(first, parts[0], conv.bias)
    for level, part in zip(others, parts[1:], strict=True):
        level = F.conv2d(level, part)
        total += F.interpolate(level, first.shape[2:], mode="bilinear", align_corners=align_corners)
    return total


def conv_of_product(conv: nn.Conv2d, bases: Tensor, coef: Tensor, size: Sequence[int]) -> Tensor:
    """Apply a 1x1 convolution to the map bases coef^T, as (weight bases) coef^T.

    weight (C, D, 1, 1), bases (B, D, R), coef (B, N, R) with N = H * W positions, size (H, W). The
    result (B, C, H, W) is channels_last and has the dtype of the weight.
    """
    weight = conv.weight.flatten(1)
    with torch.autocast(bases.device.type, enabled=False):
        bases = weight.to(bases.dtype) @ bases
    product = (coef @ bases.transpose(1, 2)).to(weight.dtype)
    if conv.bias is not None:
        product = product + conv.bias
    return product.unflatten(1, tuple(size)).permute(0, 3, 1, 2)


def factorise(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Factorise x (B, D, N), non-negative, from starting bases (B, D, R), float32 or float64.

    Returns bases (B, D, R) and coef (B, N, R) after `steps` steps and one more update of coef, in
    the dtype of the starting bases.
    """
    rows = x.to(bases.dtype).transpose(1, 2).contiguous()
    coef = (rows @ bases).softmax(dim=-1)
    for _ in range(steps):
        coef = _updated(coef, rows @ bases, bases)
        # (coef^T rows)^T is on CPUs the fastest order of x coef.
        bases = _updated(bases, (coef.transpose(1, 2) @ rows).transpose(1, 2), coef)
    return bases, _updated(coef, rows @ bases, bases)


def _updated(factor: Tensor, numerator: Tensor, other: Tensor) -> Tensor:
    """Multiply one factor (B, *, R) by numerator / (factor (other^T other))."""
    denominator = factor @ (other.transpose(1, 2) @ other)
    return factor * numerator / (denominator + EPS)
