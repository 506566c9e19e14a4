"""torch.compile of a model's network, for inference or for training.

On a GPU the compiled kernels are recorded in CUDA graphs, because they are too short to be launched
one by one. Compiled code is made when the first image or batch comes, and again for other sizes.
"""

from typing import Any

import torch
from torch import nn

from mmseg.engine.checkpoint import unwrap
from mmseg.errors import UserError


def compile_network(model: nn.Module) -> None:
    """Compile what a segmentor's `network` does; weights become constants.

    On CPUs this takes up to a minute. Raises UserError when compiled code cannot be made here.
    """
    segmentor: Any = unwrap(model)
    options = {"freezing": True, **_options(segmentor)}
    segmentor.network = torch.compile(segmentor.network, options=options)


def compile_training(model: nn.Module) -> None:
    """Compile what a segmentor's `training_logits` does, forward and backward.

    Random numbers are drawn by the compiled code, other ones than without. Raises UserError as
    `compile_network` does.
    """
    segmentor: Any = unwrap(model)
    options = _options(segmentor)
    segmentor.training_logits = torch.compile(segmentor.training_logits, options=options)


def _options(segmentor: nn.Module) -> dict[str, Any]:
    device = next(segmentor.parameters()).device
    try:
        torch.compile(torch.neg)(torch.zeros(8, device=device))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"--compile: torch.compile does not work here: {reason}") from error
    return {"triton.cudagraphs": device.type == "cuda"}
