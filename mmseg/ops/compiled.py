"""Loops that numba compiles on the user's machine, and the threads that run them."""

import importlib
import os
from collections.abc import Callable, Iterable
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


def run(function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    """Return the results of all tasks in their order, from as many threads as torch uses.

    The compiled loops release the interpreter's lock.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return [function(task) for task in tasks]
    return list(_pool(threads, os.getpid()).map(function, tasks))


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    # One for each process, because the threads of a pool do not survive a fork.
    return ThreadPoolExecutor(threads, "mmseg.ops")
