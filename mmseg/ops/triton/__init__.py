"""Kernels for CUDA GPUs, in Triton; the modules of `mmseg.ops` hold the plain form of each.

Only the modules in this folder import triton. They run where `fast_ops = "triton"` asks for them:
they are tested in Triton's interpreter and compiled for Hopper, but no GPU has run them yet.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from mmseg import ops


def load(name: str) -> Any:
    """Return the module `mmseg.ops.triton.<name>`; None where torch is not built for CUDA, comes
    without triton, or with one that has no tuples (before 3.3).
    """
    if torch.version.cuda is None or _triton_version() < (3, 3):
        return None
    return importlib.import_module(f"mmseg.ops.triton.{name}")


def _triton_version() -> tuple[int, ...]:
    try:
        return tuple(map(int, version("triton").split(".")[:2]))
    except PackageNotFoundError:
        return (0,)


def suits(x: Tensor) -> bool:
    """Return whether the kernels compute with x: on a GPU, in float32 or less, when asked for."""
    return x.is_cuda and x.dtype != torch.float64 and ops.with_triton()
