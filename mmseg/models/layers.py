"""Layers that torch does not have in the form SegNeXt needs them."""

from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor, nn

from mmseg.ops.pointwise import pointwise_conv2d


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm that several CPU processes (gloo) share, so that training is right without a GPU.

    In one process it is torch's own; on GPUs the runner turns it into torch's SyncBatchNorm, which
    knows no CPU. Here the statistics go through two differentiable sums.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        on_cpu_group = self.training and x.device.type == "cpu" and dist.is_initialized()
        return self._forward_cpu_group(x) if on_cpu_group else super().forward(x)

    def _forward_cpu_group(self, x: Tensor) -> Tensor:
        dtype = x.dtype
        x = x.float()  # under autocast too: sums over a batch need the range
        count = _AllReduce.apply(x.new_tensor(x.numel() / x.shape[1]))
        mean = _AllReduce.apply(x.sum((0, 2, 3))) / count
        centered = x - mean[:, None, None]
        var = _AllReduce.apply(centered.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return (centered * scale[:, None, None] + self.bias[:, None, None]).to(dtype)


class _AllReduce(torch.autograd.Function):
    """The sum over all processes, of values forward and of gradients backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _AllReduce.forward(ctx, grad)


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution; see `mmseg.ops.pointwise`."""

    def forward(self, x: Tensor) -> Tensor:
        return pointwise_conv2d(x, self.weight, self.bias)


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of (B, C, H, W), eps 1e-5 as in the official network."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


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
