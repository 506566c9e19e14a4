"""Compare a file with the model it was made of, in each engine that is installed."""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmseg.errors import UserError
from mmseg.export.graph import Graph
from mmseg.export.session import ENGINES, Session

SIZES, BATCHES = ((64, 96), (77, 131), (160, 128)), (1, 3)
# The largest difference of scores, as a share of the largest logit, and the share of pixels with
# equal labels. INT8 is judged by the mIoU on real images alone.
BOUNDS = {"fp32": (1e-3, 0.999), "fp16": (0.05, 0.98), "bf16": (0.3, 0.9), "int8": (np.inf, 0.0)}


class Check(NamedTuple):
    """How far a file is from PyTorch in one engine, for a batch of images of one size."""

    engine: str
    size: str
    batch: int
    difference: float
    equal: float


@torch.no_grad()
def verify(path: Path, graph: Graph, name: str) -> Iterator[Check]:
    """Yield the checks of a file; `UserError` for one that is out of bounds.

    The images are drawn, at three sizes, one of them odd, and in batches of 1 and 3. `name` is the
    name that the file is going to have.
    """
    options = graph.options
    most, least = BOUNDS[options.precision]
    sizes = SIZES if options.size is None else [tuple(options.size)]
    batches = BATCHES if options.batch is None else [options.batch]
    for engine in engines_for(path):
        run = Session(path, engine, options.precision == "bf16")
        for size, batch in product(sizes, batches):
            x = graph.example(batch, size)
            result = run(x)
            if not torch.equal(result, run(x)):
                raise UserError(f"{name}: {engine} gives other bits for the same image again")
            check = Check(engine, f"{size[0]}x{size[1]}", batch, *_compared(result, x, graph))
            if not (check.difference <= most and check.equal >= least):
                raise UserError(
                    f"{name}: not written, because {engine} differs from PyTorch by "
                    f"{check.difference:.2g} of the largest logit, and {check.equal:.2%} of the "
                    f"labels are equal ({check.size}, batch {batch}); allowed are {most:g} and "
                    f"{least:.2%}"
                )
            yield check


def engines_for(path: Path) -> list[str]:
    """Return the installed engines that read a file."""
    return [name for name in ENGINES[: 1 if path.suffix == ".xml" else 2] if find_spec(name)]


def _compared(result: Tensor, x: Tensor, graph: Graph) -> tuple[float, float]:
    """Return the largest difference and the share of equal labels.

    A class differs by how much its logit lies below the highest one.
    """
    kind = graph.options.output
    expected = graph(x) if kind == "coarse" else graph.logits(x)
    best, labels = expected.max(1)
    ids = result.long() if kind == "classes" else result.argmax(1)
    gap, scale = best - expected.gather(1, ids[:, None])[:, 0], expected.abs().max()
    if kind == "probabilities":
        gap, scale = result - expected.softmax(1), torch.tensor(1.0)
    elif kind != "classes":
        gap = result - expected
    return (gap.abs().max() / scale).item(), (ids == labels).double().mean().item()
