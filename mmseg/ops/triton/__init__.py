"""Kernels for CUDA GPUs, in Triton: guests that run only after `enable(True)`.

They are tested in Triton's interpreter and compiled for Hopper, but no GPU has run them yet. Only
the modules in this folder import triton. Triton launches on the current GPU, and each launch here
makes the GPU of its tensors the current one.
"""

import importlib
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from mmengine.utils import digit_version
from torch import Tensor

KERNELS = ("class_map", "cross_entropy", "depthwise")
_enabled: Collection[str] = ()


def _available() -> bool:
    """Return whether torch is built for CUDA and has a triton with tuples, 3.3 or later."""
    try:
        return torch.version.cuda is not None and digit_version(version("triton")) >= (3, 3)
    except PackageNotFoundError:
        return False


AVAILABLE = _available()


def enable(on: bool, kernels: Collection[str] = KERNELS) -> None:
    """Let the kernels run, in the whole process, where a tensor suits them (`suits`)."""
    global _enabled
    _enabled = kernels if on else ()


def load(name: str) -> Any:
    """Return the module `mmseg.ops.triton.<name>`, None where its kernels cannot be compiled."""
    return importlib.import_module(f"mmseg.ops.triton.{name}") if AVAILABLE else None


def suits(x: Tensor, kernel: str) -> bool:
    """Return whether a kernel computes with x: enabled, on a GPU, in float32 or less."""
    return kernel in _enabled and AVAILABLE and x.is_cuda and x.dtype != torch.float64
