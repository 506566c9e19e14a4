"""Kernels for CUDA GPUs, in Triton; the modules of `mmseg.ops` hold the plain form of each.

Only the modules in this folder import triton, which launches on the current GPU: each launch makes
that of its tensors the current one. They run where `fast_ops = "triton"` asks for them:
they are tested in Triton's interpreter and compiled for Hopper, but no GPU has run them yet.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from mmengine.utils import digit_version
from torch import Tensor

from mmseg import ops


def _available() -> bool:
    """Return whether torch is built for CUDA and has a triton with tuples, 3.3 or later."""
    try:
        return torch.version.cuda is not None and digit_version(version("triton")) >= (3, 3)
    except PackageNotFoundError:
        return False


AVAILABLE = _available()


def load(name: str) -> Any:
    """Return the module `mmseg.ops.triton.<name>`, None where its kernels cannot be compiled."""
    return importlib.import_module(f"mmseg.ops.triton.{name}") if AVAILABLE else None


def suits(x: Tensor) -> bool:
    """Return whether the kernels compute with x: on a GPU, in float32 or less, when asked for."""
    return AVAILABLE and x.is_cuda and x.dtype != torch.float64 and ops.with_triton()
