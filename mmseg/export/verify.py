"""Compare a file with the model it was made of, in each engine that is installed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Check:
    """How far a file is from PyTorch in one engine, for a batch of images of one size."""

    engine: str
    size: tuple[int, ...]
    batch: int
    difference: float
    equal: float


def engines_for(path: Path) -> list[str]:
    """Return the installed engines that read a file."""
    names = ("openvino",) if path.suffix == ".xml" else ENGINES
    return [name for name in names if find_spec(name)]


@torch.no_grad()
def verify(path: Path, graph: Graph, name: str) -> Iterator[Check]:
    """Yield the checks of a file; `UserError` for one that is out of bounds.

    The images are drawn, at three sizes, one of them odd, and in batches of 1 and 3. `name` is the
    name that the file is going to have.
    """
    options = graph.options
    most, least = BOUNDS[options.precision]
    whole = Graph(graph.model, replace(options, output="logits"))
    sizes = SIZES if options.size is None else [tuple(options.size)]
    batches = BATCHES if options.batch is None else [options.batch]
    for engine in engines_for(path):
        run = Session(path, engine, options.precision == "bf16")
        for size, batch in product(sizes, batches):
            x = graph.example(batch, size)
            result, logits = run(x), whole(x)
            if not torch.equal(result, run(x)):
                raise UserError(f"{name}: {engine} gives other bits for the same image again")
            check = Check(engine, size, batch, *_compared(result, logits, graph))
            if not (check.difference <= most and check.equal >= least):
                raise UserError(
                    f"{name}: not written, because {engine} differs from PyTorch by "
                    f"{check.difference:.2g} of the largest logit, and {check.equal:.2%} of the "
                    f"labels are equal ({size[0]}x{size[1]}, batch {batch}); allowed are {most:g} "
                    f"and {least:.2%}"
                )
            yield check


def _compared(result: Tensor, logits: Tensor, graph: Graph) -> tuple[float, float]:
    """Return the largest difference and the share of equal labels.

    A class differs by how much its logit lies below the highest one.
    """
    best, labels = logits.max(1)
    if graph.options.output == "classes":
        ids = result.long()
        gap = best - logits.gather(1, ids[:, None])[:, 0]
        difference = gap.max() / logits.abs().max()
    else:
        ids = result.argmax(1)
        scale = logits.abs().max()
        if graph.options.output == "probabilities":
            logits, scale = logits.softmax(1), torch.tensor(1.0)
        difference = (result - logits).abs().max() / scale
    return difference.item(), (ids == labels).double().mean().item()


def table(checks: list[Check]) -> list[list[Any]]:
    """Return rows of engine, size, batch, difference and equal labels."""
    return [
        [c.engine, f"{c.size[0]}x{c.size[1]}", c.batch, f"{c.difference:.1e}", f"{c.equal:.4%}"]
        for c in checks
    ]
