"""Run compiled loops, which release the interpreter's lock, on as many threads as torch uses."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    # By process, because the threads of a pool do not survive a fork.
    return ThreadPoolExecutor(threads, "mmseg.ops")


def run(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """Yield the results of all tasks in their order."""
    return _pool(torch.get_num_threads(), os.getpid()).map(function, tasks)
