"""The one decision how maps lie in memory."""

import torch
from torch import Tensor

from mmseg.ops import triton


def fast_format(x: Tensor) -> torch.memory_format:
    """Return the memory format in which a network computes fastest with maps, or weights, like x.

    On CPUs depth-wise strips are up to 20 times as fast in channels_last. The Triton kernels read
    nothing else. Networks on GPUs without these kernels keep torch's own format.
    """
    on_cpu = x.device.type == "cpu"
    return torch.channels_last if on_cpu or triton.suits(x) else torch.contiguous_format


def arranged(x: Tensor) -> Tensor:
    """Return a map (B, C, H, W) in the memory format of `fast_format`."""
    return x.contiguous(memory_format=fast_format(x))
