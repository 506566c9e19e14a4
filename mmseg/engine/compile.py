"""torch.compile of a model's network, for inference."""

from typing import Any

import torch
from torch import nn

from mmseg.engine.checkpoint import unwrap
from mmseg.errors import UserError


def compile_network(model: nn.Module) -> None:
    """Compile what a segmentor's `network` does, when it is called; weights become constants.

    On CPUs this takes up to a minute for the first image and again when the first image of another
    size comes. Raises UserError when compiled code cannot be made here.
    """
    segmentor: Any = unwrap(model)
    device = next(segmentor.parameters()).device
    try:
        torch.compile(torch.neg)(torch.zeros(8, device=device))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"--compile: torch.compile does not work here: {reason}") from error
    segmentor.network = torch.compile(segmentor.network, options={"freezing": True})
