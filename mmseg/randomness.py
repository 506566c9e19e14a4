"""Randomness without a history: the seed of every draw follows from its place in the run.

With one generator for all draws, each result would depend on every draw before it, and so on the
number of loader workers and on the place where a run was interrupted.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch


def seed_of(*place: object) -> int:
    """Return 63 bits that are a pure function of `place`, such as (seed, "sample", 7)."""
    digest = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def seed_all(seed: int) -> None:
    """Start the generators of Python, numpy and torch from `seed`."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # not in a loader's worker
        torch.cuda.manual_seed_all(seed)


@contextmanager
def own_generators() -> Iterator[None]:
    """Leave the generators of Python, numpy and torch as they were before."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class Draw(NamedTuple):
    """One draw of the sampler: which sample, and the seed of what happens to it."""

    sample: int
    seed: int


class Seeded:
    """A data set that takes a `Draw` for an index, and then starts from the draw's seed."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, Draw):
            seed_all(index.seed)
            index = index.sample
        return super().__getitem__(index)  # type: ignore[misc]
