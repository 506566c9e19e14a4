"""Loops that numba compiles on the user's machine: there if they can be, and run on threads."""

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")


def load(name: str) -> Any:
    """Return the module `mmseg.ops.numba_<name>`, None where its loops cannot be compiled."""
    try:
        return importlib.import_module(f"mmseg.ops.numba_{name}")
    except (ImportError, RuntimeError):  # there is no numba; no folder for its cache can be written
        return None


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    # By process, because the threads of a pool do not survive a fork.
    return ThreadPoolExecutor(threads, "mmseg.ops")


def run(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """Yield the results of all tasks in their order; the loops release the interpreter's lock."""
    return _pool(torch.get_num_threads(), os.getpid()).map(function, tasks)
