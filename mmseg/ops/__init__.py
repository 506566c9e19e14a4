"""Fast paths of what is slow in plain torch, and the one switch between the two.

Each module here holds a plain reference and a fast path that computes the same; the models call the
module, and `enabled` alone decides which runs. The loops of `numba_*.py` are compiled on the user's
machine; without numba the fast paths are made of torch's operations.
"""

from collections.abc import Iterator
from contextlib import contextmanager

_enabled = True


def enabled() -> bool:
    """Return whether fast paths run: the config's `fast_ops`, True by default."""
    return _enabled


def enable(value: bool) -> None:
    """Select the fast paths or the plain ones, for the whole process."""
    global _enabled
    _enabled = value


@contextmanager
def plain() -> Iterator[None]:
    """Run the plain paths inside the context."""
    before = _enabled
    enable(False)
    try:
        yield
    finally:
        enable(before)
