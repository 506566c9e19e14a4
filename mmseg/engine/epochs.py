"""Trainings that count in epochs: from the first iteration on they count in iterations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.runner import Runner

from mmseg.compat.names import registered_names
from mmseg.engine.loaders import build_loader
from mmseg.engine.loop import SegTrainLoop
from mmseg.registry import LOOPS, Count


@LOOPS.register_module(name=registered_names("EpochTrainLoop"))
class EpochTrainLoop(SegTrainLoop):
    """Train for `max_epochs` passes over the data and validate after every `val_interval` of them.

    An epoch has as many iterations as there are images, divided by the images of an iteration and
    rounded up. Checkpoint intervals count in epochs too. So do the schedulers with `by_epoch`, but
    the rate changes at each iteration, as mmengine's `convert_to_iter_based` lets it.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        max_epochs: Count,
        val_begin: int = 1,
        val_interval: Count = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        **options: int,
    ) -> None:
        diff_rank_seed = (runner.cfg.get("randomness") or {}).get("diff_rank_seed", False)
        loader = build_loader(dataloader, runner.seed, diff_rank_seed, trains=True)
        images = (loader.batch_size or 1) * runner.world_size
        self.epoch_length = length = math.ceil(len(loader.dataset) / images)  # type: ignore[arg-type]
        intervals = [(at * length, every * length) for at, every in dynamic_intervals or ()]
        counts = max_epochs * length, val_begin * length, val_interval * length
        super().__init__(runner, loader, *counts, intervals or None, **options)
        self.max_epochs = max_epochs
        given: Any = runner.param_schedulers or []
        schedulers = [given] if isinstance(given, Mapping) else given
        runner.param_schedulers = [in_iterations(each, length) for each in schedulers] or None
        runner.log_processor.by_epoch = False
        runner.logger.info(f"{max_epochs} epochs of {length} iterations")


def in_iterations(scheduler: Mapping, length: int) -> dict[str, Any]:
    """Let mmengine turn a scheduler's config into iterations; an epoch has `length` of them."""
    if not scheduler.get("by_epoch", True):
        return dict(scheduler)
    config = {**scheduler, "convert_to_iter_based": True, "epoch_length": length}
    if config["type"] == "ExponentialLR":
        config["gamma"] **= 1 / length
    return config
