"""How networks compute on a device: memory format, precision, and what runs on a GPU by default."""

import torch
from torch import Tensor

from mmseg.ops import triton

# What runs on a GPU if a config does not say, and the file of `tools/bench/gpu.py` that tells its
# speed. That script measures and prints a verdict for each.
DEFAULTS = {
    "channels_last": (False, "not measured"),
    "compile": (False, "not measured"),
    "triton_kernels": (False, "not measured"),
}


def by_default(name: str) -> bool:
    """Return whether something of `DEFAULTS` is on here: never where there is no GPU."""
    return DEFAULTS[name][0] and torch.cuda.is_available()


def arranged(x: Tensor) -> Tensor:
    """Return a map (B, C, H, W) in the memory format in which a network computes fastest with it.

    On CPUs depth-wise strips are up to 20 times as fast in channels_last. The Triton kernels read
    nothing else. Networks on GPUs without these kernels follow `DEFAULTS`.
    """
    wanted = x.device.type == "cpu" or DEFAULTS["channels_last"][0]
    last = wanted or triton.kernels_for(x, "depthwise") is not None
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def half_dtype(device_type: str) -> torch.dtype:
    """Return bfloat16, whose range is that of float32, or float16 for GPUs without it."""
    if device_type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def cpu_computes_in(amp: str) -> bool:
    """Return whether the processor has instructions for bf16 or fp16 that torch uses."""
    known = torch.backends.mkldnn.is_available()  # else its operations are missing
    return known and getattr(torch.ops.mkldnn, f"_is_mkldnn_{amp}_supported")()
