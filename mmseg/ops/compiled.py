"""Loops that numba compiles on the user's machine: there if they can be, and run on threads."""

import ctypes
import importlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")

Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def load(name: str) -> Any:
    """Return the module `mmseg.ops.numba_<name>`, None where its loops cannot be compiled."""
    try:
        return importlib.import_module(f"mmseg.ops.numba_{name}")
    except (ImportError, RuntimeError):  # there is no numba; no folder for its cache can be written
        return None


def run(function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    """Return the results of all tasks in their order; the loops release the interpreter's lock."""
    tasks = list(tasks)
    threads = torch.get_num_threads()
    if threads == 1:
        return [function(task) for task in tasks]
    parallel = _openmp()
    if parallel is None:
        return list(_pool(threads, os.getpid()).map(function, tasks))
    results: dict[int, Result] = {}
    errors: list[BaseException] = []
    left = iter(range(len(tasks)))

    def take_tasks(_: int | None) -> None:
        try:
            for index in left:
                results[index] = function(tasks[index])
        except BaseException as error:  # ctypes would print it and go on
            errors.append(error)

    parallel(Body(take_tasks), None, threads, 0)
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(tasks))]


def run_pieces(function: Callable[[int, int], None], count: int, per_thread: int = 1) -> None:
    """Call function(begin, end) for pieces of range(count), so many per thread."""
    pieces = per_thread * torch.get_num_threads()
    ends = [count * i // pieces for i in range(pieces + 1)]
    run(lambda piece: function(*piece), pairwise(ends))


@lru_cache(maxsize=1)
def _openmp() -> Any:
    """Return the `GOMP_parallel` of torch's OpenMP, which runs a function on each of its threads.

    Between torch's loops these threads spin, on the cores that any other thread would need: with
    a pool a training step of SegNeXt-T in bf16 took 7 % longer. None where torch has another
    way to run on threads.
    """
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        parallel = library.GOMP_parallel
    except (OSError, AttributeError):
        return None
    parallel.argtypes = [Body, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    return parallel


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    # By process, because the threads of a pool do not survive a fork.
    return ThreadPoolExecutor(threads, "mmseg.ops")
