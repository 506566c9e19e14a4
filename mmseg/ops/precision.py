"""Which half precision networks run in."""

import torch
from torch import Tensor


def half_dtype(device_type: str) -> torch.dtype:
    """Return bfloat16, whose range is that of float32, or float16 for GPUs without it."""
    if device_type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def cpu_computes_in(amp: str) -> bool:
    """Return whether the processor has instructions for bf16 or fp16 that torch uses."""
    known = torch.backends.mkldnn.is_available()  # else its operations are missing
    return known and getattr(torch.ops.mkldnn, f"_is_mkldnn_{amp}_supported")()


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype that convolutions of x compute in: autocast's if it is on, or that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
