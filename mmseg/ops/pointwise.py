"""1x1 convolutions whose weight gradient is a product of matrices on processors without AVX-512.

There oneDNN's weight gradient takes up to twice as long as MKL's product; forward and for the
gradient of the input, oneDNN is about as fast or faster.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg import ops
from mmseg.ops import processor
from mmseg.ops.depthwise import input_gradient


def pointwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve (B, C, H, W) with weight (D, C, 1, 1): (B, D, H, W)."""
    trains = torch.is_grad_enabled() and weight.requires_grad
    if trains and ops.enabled() and not torch.compiler.is_compiling() and _suits(x):
        return _PointwiseConv2d.apply(x, weight, bias)
    return F.conv2d(x, weight, bias)


def _suits(x: Tensor) -> bool:
    in_float32 = x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return x.device.type == "cpu" and in_float32 and processor.only_avx2()


class _PointwiseConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad_x = input_gradient(grad, x, weight) if ctx.needs_input_grad[0] else None
        grads = _pixels(grad)
        grad_bias = grads.sum(0) if ctx.needs_input_grad[2] else None
        return grad_x, (grads.T @ _pixels(x))[:, :, None, None], grad_bias


def _pixels(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B*H*W, C): a view if x is channels_last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
