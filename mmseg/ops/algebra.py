"""Linear maps of the decoder in the order that costs least: exact, in training too."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def conv_of_levels(weight: Tensor, levels: Sequence[Tensor], align_corners: bool) -> Tensor:
    """Apply a 1x1 convolution to maps that are resized to the size of the first and concatenated.

    The convolution of a concatenation is the sum of those of its parts, and a 1x1 convolution
    commutes with bilinear resizing, so that each level (B, C_i, h_i, w_i) goes through its part of
    weight (C, sum of C_i, 1, 1) at its own size.
    """
    first, *others = levels
    # Split as a matrix: a gradient put together from 4-d parts would not be contiguous.
    parts = [
        part[:, :, None, None]
        for part in weight.flatten(1).split([level.shape[1] for level in levels], dim=1)
    ]
    total = F.conv2d(first, parts[0])
    for level, part in zip(others, parts[1:], strict=True):
        level = F.conv2d(level, part)
        total += F.interpolate(level, first.shape[2:], mode="bilinear", align_corners=align_corners)
    return total


def conv_of_product(weight: Tensor, bases: Tensor, coef: Tensor, size: Sequence[int]) -> Tensor:
    """Apply a 1x1 convolution to the map bases coef^T as (weight bases) coef^T.

    weight (C, D, 1, 1), bases (B, D, R), coef (B, N, R) with N = H * W positions, size (H, W). The
    result (B, C, H, W) is channels_last.
    """
    with torch.autocast(bases.device.type, enabled=False):
        bases = weight.flatten(1).to(bases.dtype) @ bases
    return (coef @ bases.transpose(1, 2)).unflatten(1, tuple(size)).permute(0, 3, 1, 2)
