"""Depth-wise convolutions, with a fast weight gradient for wide windows on CPUs.

torch's weight gradient of a 1x21 convolution takes 100 times as long as the one of a 21x1
convolution. So a wide window is turned upright in training, together with the map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg.ops import triton


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve (B, C, H, W) with weight (C, 1, kh, kw), odd sizes, and bias (C,), to the same size.

    y[b, c, i, j] = bias[c] + sum over p, q of weight[c, 0, p, q] x[b, c, i + p - kh//2,
    j + q - kw//2], where x is 0 outside the map.
    """
    fits = bias is not None and x[0].numel() < 2**31  # the kernel counts in 32 bits
    if fits and (gpu := triton.kernels_for(x, "depthwise")) is not None:
        device = x.device.type
        if torch.is_autocast_enabled(device):  # it knows nothing of the kernel
            x = x.to(torch.get_autocast_dtype(device))
        return gpu.depthwise_conv2d(x, weight, bias)
    height, width = weight.shape[2:]
    trains = torch.is_grad_enabled() and weight.requires_grad
    if trains and x.device.type == "cpu" and width > height:
        return _turned(depthwise_conv2d(_turned(x), weight.transpose(2, 3), bias))
    return F.conv2d(x, weight, bias, padding=(height // 2, width // 2), groups=len(weight))


def _turned(x: Tensor) -> Tensor:
    """Exchange the height and the width of a map, which becomes channels_last."""
    return x.transpose(2, 3).contiguous(memory_format=torch.channels_last)
