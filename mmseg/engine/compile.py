"""A faster network in a model's place: compiled by torch, or a fused copy for validations.

On a GPU the compiled kernels are recorded in CUDA graphs, because they are too short to be launched
one by one. Compiled code is made when the first image or batch comes, and again for other sizes.
"""

import contextlib
from typing import Any

import torch
import torch._functorch.config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg.checkpoints.loading import check_number_of_classes, unwrap
from mmseg.environment import give_back_freed_memory
from mmseg.errors import UserError
from mmseg.export.engines import for_inference
from mmseg.export.loading import load
from mmseg.inference import exchanged


def compile_network(model: nn.Module, trains: bool = False, accumulates: bool = False) -> None:
    """Compile what a segmentor's `logits` does, where weights become constants.

    With `trains` it is `training_logits` instead, forward and backward. That code draws other
    random numbers than the eager code. A run that accumulates gradients has no CUDA graphs: the
    next run of a graph would write over gradients that wait for the step. On CPUs compiling takes
    up to a minute. Raises UserError when compiled code cannot be made here, and in training for a
    backbone with `with_cp`.
    """
    segmentor: Any = unwrap(model)
    if trains and getattr(segmentor.backbone, "with_cp", False):
        raise UserError("--compile does not go with model.backbone.with_cp=True: leave one out")
    try:
        torch.compile(torch.neg)(torch.zeros(8, device=next(segmentor.parameters()).device))
    except RuntimeError as error:
        why = str(error).strip().partition("\n")[0]
        raise UserError(f"--compile: torch.compile does not work here: {why}") from error
    graphs = next(segmentor.parameters()).is_cuda and not accumulates
    name = "training_logits" if trains else "logits"
    compiled = torch.compile(getattr(segmentor, name), options={"triton.cudagraphs": graphs})

    def network(x: Tensor) -> Any:
        with _when_traced(trains):
            logits = compiled(x)
        # What a graph returns lies where its next run writes.
        return logits.clone() if graphs and not trains else logits

    setattr(segmentor, name, network)


def _when_traced(trains: bool) -> contextlib.AbstractContextManager:
    """Set what torch reads when it traces code, and what is no option of a call.

    Weights are constants in inference. In training the backward pass runs in the precisions of the
    forward pass, as an eager one runs. By default torch traces it under autocast. Then the
    factorisation, which is float32 in the forward pass, has a backward pass in half precision.
    """
    if not trains:
        from torch._inductor import config as inductor  # takes two seconds

        return inductor.patch(freezing=True)
    config: Any = torch._functorch.config
    if not hasattr(config, "backward_pass_autocast"):  # before torch 2.8
        return contextlib.nullcontext()
    return config.patch(backward_pass_autocast="off")


class FuseHook(Hook):
    """Put `for_inference(model)` in the model's place for the images of a validation or a test.

    Validations compute with PyTorch: in a training, the weights change before each of them.

    The copy is made at the first image, when averaged weights (EMAHook) are in their place. The
    model comes back before other hooks see the end, unless `frees_model`. After an interruption, it
    comes back when the next run or validation starts.
    """

    priority = "VERY_HIGH"
    frees_model = False  # whether nobody needs the model after a test

    def __init__(self) -> None:
        self.model: nn.Module | None = None

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 0:
            self._exchange(runner)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 0:
            segmentor: Any = unwrap(runner.model)
            segmentor.cfg = runner.cfg
            segmentor.dataset_meta = runner.test_dataloader.dataset.metainfo
            self._exchange(runner, runner.cfg.get("engine", "torch"), runner._load_from)
            if self.frees_model:
                self.model = segmentor = None
                give_back_freed_memory()

    def _exchange(self, runner: Runner, *how: Any) -> None:
        self._give_back(runner)
        self.model = runner.model
        runner.model = for_inference(self.model, *how)

    def _give_back(self, runner: Runner, metrics: dict | None = None) -> None:
        if self.model is not None:
            runner.model, self.model = self.model, None

    before_run = after_val_epoch = after_test_epoch = _give_back


def take_exported(runner: Any, path: str) -> dict[str, Any]:
    """Let a runner test an exported file; return its classes as a checkpoint has them."""
    segmentor: Any = unwrap(runner.model)
    engine, half = runner.cfg.get("engine", "auto"), segmentor.test_cfg.get("amp", False)
    loaded = load(path, engine, half, scores="module" in runner.cfg.model)  # those of TTA
    check_number_of_classes(loaded, runner.test_dataloader.dataset.metainfo["classes"])
    runner.model = exchanged(runner.model, segmentor, loaded)
    return {"meta": {"dataset_meta": loaded.dataset_meta}}
