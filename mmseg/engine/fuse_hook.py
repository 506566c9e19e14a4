"""Validation and test run a fused copy of the model."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmseg.inference import fuse


class FuseHook(Hook):
    """Put `fuse(model)` in the model's place for the images of a validation or a test.

    The copy is made at the first image, when averaged weights (EMAHook) are in their place. The
    model comes back before other hooks see the end, and at the start of the next run if this one
    was interrupted.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self.model: nn.Module | None = None

    def before_run(self, runner: Runner) -> None:
        self._give_back(runner)

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if batch_idx == 0:
            self.model = runner.model
            runner.model = fuse(self.model)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self._give_back(runner)

    before_test_iter = before_val_iter
    after_test_epoch = after_val_epoch

    def _give_back(self, runner: Runner) -> None:
        if self.model is not None:
            runner.model, self.model = self.model, None
