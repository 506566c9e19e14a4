"""Layers that torch does not have in the form SegNeXt needs them."""

from contextlib import nullcontext

import torch.utils.checkpoint
from torch import Tensor, nn

from mmseg.ops.depthwise import depthwise_conv2d


class DepthwiseConv2d(nn.Conv2d):
    """A depth-wise convolution that keeps the size of its input."""

    def __init__(self, channels: int, kernel_size: tuple[int, int]) -> None:
        padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        super().__init__(channels, channels, kernel_size, padding=padding, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv2d(x, self.weight, self.bias)


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W), eps 1e-5 as in the official network."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _FrozenRunningStats:
    """A context in which batch norm keeps its running statistics; every backward pass enters it."""

    def __init__(self, module: nn.Module) -> None:
        self.norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def __enter__(self) -> None:
        self.momenta = [norm.momentum for norm in self.norms]
        for norm in self.norms:
            norm.momentum = 0.0

    def __exit__(self, *_: object) -> None:
        for norm, momentum in zip(self.norms, self.momenta, strict=True):
            norm.momentum = momentum


def checkpoint(module: nn.Module, x: Tensor) -> Tensor:
    """Activation checkpointing that counts each batch once in the running statistics.

    torch's own runs the module a second time in the backward pass, and batch norm would move its
    running mean and variance again.
    """
    return torch.utils.checkpoint.checkpoint(
        module,
        x,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _FrozenRunningStats(module)),
    )
