"""Fast paths of what is slow in plain torch, and the one switch between the two.

Each module here holds a plain reference and a fast path that computes the same; the models call the
module, and `enabled` alone decides which runs. The loops of `numba_*.py` are compiled on the user's
machine; without numba the fast paths are made of torch's operations.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mmseg.errors import UserError

_selected: bool | str = True


def enabled() -> bool:
    """Return whether fast paths run: the config's `fast_ops`, True by default."""
    return bool(_selected)


def with_triton() -> bool:
    """Return whether `fast_ops` asks for the kernels for GPUs in `mmseg.ops.triton`, too."""
    return _selected == "triton"


def enable(value: bool | str) -> None:
    """Select the plain paths (False), the fast ones (True) or these with the kernels for GPUs
    ("triton"), for the whole process. `UserError` for anything else.
    """
    global _selected
    if value not in (False, True, "triton"):
        raise UserError(f"fast_ops={value!r}: True, False or 'triton'")
    _selected = value


@contextmanager
def plain() -> Iterator[None]:
    """Run the plain paths inside the context."""
    before = _selected
    enable(False)
    try:
        yield
    finally:
        enable(before)
