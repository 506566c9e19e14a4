"""torch.compile of a model's network, for inference or for training.

On a GPU the compiled kernels are recorded in CUDA graphs, because they are too short to be launched
one by one. Compiled code is made when the first image or batch comes, and again for other sizes.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch._functorch.config
from torch import Tensor, nn

from mmseg.checkpoints.loading import unwrap
from mmseg.errors import UserError

Network = Callable[[Tensor], Tensor]


def compile_network(model: nn.Module) -> None:
    """Compile what a segmentor's `logits` does; weights become constants.

    On CPUs this takes up to a minute. Raises UserError when compiled code cannot be made here.
    """
    from torch._inductor import config  # takes two seconds

    segmentor: Any = unwrap(model)
    _check_compiler(segmentor)
    graphs = _on_gpu(segmentor)
    compiled = _compiled(segmentor.logits, graphs)

    def network(x: Tensor) -> Tensor:
        # Read when the network is traced, and so no option of torch.compile.
        with config.patch(freezing=True):
            logits = compiled(x)
        # What a graph returns lies where its next run writes.
        return logits.clone() if graphs else logits

    segmentor.logits = network


def compile_training(model: nn.Module, accumulates: bool = False) -> None:
    """Compile the `training_logits` of a segmentor, forward and backward.

    The compiled code draws other random numbers than the eager code. A run that accumulates
    gradients has no CUDA graphs: the next run of a graph would write over gradients that wait for
    the step. Raises UserError as `compile_network` does, and for a backbone with `with_cp`.
    """
    segmentor: Any = unwrap(model)
    if getattr(segmentor.backbone, "with_cp", False):
        raise UserError("--compile does not go with model.backbone.with_cp=True: leave one out")
    _check_compiler(segmentor)
    compiled = _compiled(segmentor.training_logits, _on_gpu(segmentor) and not accumulates)

    def training_logits(x: Tensor) -> Tensor:
        with _backward_without_autocast():
            return compiled(x)

    segmentor.training_logits = training_logits


def _on_gpu(segmentor: nn.Module) -> bool:
    return next(segmentor.parameters()).is_cuda


def _check_compiler(segmentor: nn.Module) -> None:
    device = next(segmentor.parameters()).device
    try:
        torch.compile(torch.neg)(torch.zeros(8, device=device))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"--compile: torch.compile does not work here: {reason}") from error


def _compiled(function: Network, graphs: bool) -> Network:
    return torch.compile(function, options={"triton.cudagraphs": graphs})


def _backward_without_autocast() -> contextlib.AbstractContextManager:
    """Run a compiled backward pass in the precisions of its forward pass, as an eager one runs.

    By default torch traces it under autocast. Then the factorisation, which is float32 in the
    forward pass, has a backward pass in half precision.
    """
    config: Any = torch._functorch.config
    if not hasattr(config, "backward_pass_autocast"):  # before torch 2.8
        return contextlib.nullcontext()
    return config.patch(backward_pass_autocast="off")
