"""A convolution together with the elementwise operation that follows it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.ops.depthwise import depthwise_conv2d
from mmseg.ops.formats import fast_format


class FusedConv(nn.Module):
    """A convolution with the geometry of `conv` and other weights; it has no gradients.

    On CPUs oneDNN applies the operation that follows while it writes the result of the convolution.
    Elsewhere torch applies it afterwards.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        # Copies, because training may go on with the weights of `conv`. The result of a
        # convolution lies in memory as its weight does.
        layout = fast_format(weight)
        self.register_buffer("weight", weight.detach().clone(memory_format=layout))
        self.register_buffer("bias", bias.detach().clone())
        self.geometry = [*conv.padding], [*conv.stride], [1, 1], conv.groups

    def forward(self, x: Tensor) -> Tensor:
        """Return conv(x)."""
        padding, stride, _, groups = self.geometry
        if groups > 1:
            return depthwise_conv2d(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias, stride, padding)

    def gelu(self, x: Tensor) -> Tensor:
        """Return GELU(conv(x))."""
        if not onednn_computes(x):
            return F.gelu(self(x))
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.geometry, "gelu", [], "none"
        )

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """Return other * conv(x)."""
        # torch 2.6 refuses a single pixel.
        if not onednn_computes(x) or x.shape[2:].numel() == 1:
            return other * self(x)
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, self.weight, self.bias, *self.geometry, "mul", None, None, [], None
        )

    def add_to(self, total: Tensor, x: Tensor) -> Tensor:
        """Return total + conv(x); `total` is overwritten."""
        if not onednn_computes(x):
            return total.add_(self(x))
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            total, x, self.weight, self.bias, *self.geometry, "add", 1.0, None, [], None
        )


def onednn_computes(x: Tensor) -> bool:
    """Return whether oneDNN convolves maps like x and applies an operation afterwards."""
    on_cpu = x.device.type == "cpu" and torch.backends.mkldnn.is_available()
    # A compiler, and the engine that runs an exported file, fuse by themselves.
    if not on_cpu or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if x.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return x.dtype == torch.float32
