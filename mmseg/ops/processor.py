"""What kind of processor this is, for fast paths that win on one kind only."""

import torch


def only_avx2() -> bool:
    """Return whether vectors are AVX2's 256 bits: an x86 processor without AVX-512."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2"
