"""Kernels for CUDA GPUs, in Triton: guests that run only after `enable(True)`.

They are tested in Triton's interpreter and compiled for Hopper, but no GPU has run them yet. Only
the modules in this folder import triton. Triton launches on the current GPU, and each launch here
makes the GPU of its tensors the current one.
"""

import importlib
from collections.abc import Collection
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from mmengine.utils import digit_version
from torch import Tensor

KERNELS = ("class_map", "cross_entropy", "depthwise")
_enabled: Collection[str] = ()


def enable(on: bool, kernels: Collection[str] = KERNELS) -> None:
    """Let the kernels run, in the whole process, where they suit a tensor (`kernels_for`)."""
    global _enabled
    _enabled = kernels if on else ()


def kernels_for(x: Tensor, name: str) -> Any:
    """Return the module `mmseg.ops.triton.<name>` if its kernels compute with x, else None.

    They do so if they are enabled, on a GPU, in float32 or less.
    """
    suits = name in _enabled and x.is_cuda and x.dtype != torch.float64
    return _loaded.get(name) if suits else None


def _load() -> dict[str, Any]:
    """Return the modules if torch is built for CUDA and there is a triton with tuples, from 3.3."""
    with suppress(PackageNotFoundError):
        if torch.version.cuda is not None and digit_version(version("triton")) >= (3, 3):
            return {name: importlib.import_module(f"{__name__}.{name}") for name in KERNELS}
    return {}


_loaded = _load()
