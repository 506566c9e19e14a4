"""Which half precision networks run in."""

import torch


def half_dtype(device_type: str) -> torch.dtype:
    """Return bfloat16, whose range is that of float32, or float16 for GPUs without it."""
    if device_type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16
