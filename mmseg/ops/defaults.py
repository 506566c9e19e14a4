"""What runs on a GPU if a config does not say, and the measurement that each choice follows.

`tools/bench/gpu.py` measures and prints a verdict for each choice.
"""

from typing import NamedTuple

import torch


class Choice(NamedTuple):
    """Whether something runs, and the file of `tools/bench/gpu.py` that tells its speed."""

    on: bool
    measured: str


DEFAULTS = {
    "channels_last": Choice(False, "not measured"),
    "compile": Choice(False, "not measured"),
    "triton_kernels": Choice(False, "not measured"),
}


def by_default(name: str) -> bool:
    """Return whether a choice is on here: never where there is no GPU."""
    return DEFAULTS[name].on and torch.cuda.is_available()
