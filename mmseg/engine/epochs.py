"""Trainings that count in epochs: from the first iteration on they count in iterations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.runner import Runner

from mmseg.compat.names import registered_names
from mmseg.engine.loaders import build_loader
from mmseg.engine.loop import SegTrainLoop
from mmseg.registry import LOOPS

# What a scheduler counts in epochs.
COUNTED = {"begin", "end", "T_max", "step_size", "total_steps", "milestones", "periods"}


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
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        accumulate: int = 1,
        max_skipped_steps: int = 0,
    ) -> None:
        diff_rank_seed = (runner.cfg.get("randomness") or {}).get("diff_rank_seed", False)
        loader = build_loader(dataloader, runner.seed, diff_rank_seed, trains=True)
        images = (loader.batch_size or 1) * runner.world_size
        self.epoch_length = length = math.ceil(len(loader.dataset) / images)  # type: ignore[arg-type]
        intervals = [(at * length, every * length) for at, every in dynamic_intervals or ()]
        super().__init__(
            *(runner, loader, max_epochs * length, val_begin * length, val_interval * length),
            *(intervals or None, accumulate, max_skipped_steps),
        )
        given: Any = runner.param_schedulers or []
        schedulers = [given] if isinstance(given, Mapping) else given
        runner.param_schedulers = [in_iterations(each, length) for each in schedulers] or None
        runner.log_processor.by_epoch = False
        runner.logger.info(f"{max_epochs} epochs of {length} iterations")


def in_iterations(scheduler: Mapping, length: int) -> dict[str, Any]:
    """Return the config of a scheduler in iterations; an epoch has `length` of them."""
    config = {key: value for key, value in scheduler.items() if key != "convert_to_iter_based"}
    if not config.get("by_epoch", True):
        return config
    for key in COUNTED & config.keys():
        value = config[key]
        is_list = isinstance(value, list | tuple)
        config[key] = [each * length for each in value] if is_list else value * length
    if config["type"] == "ExponentialLR":
        config["gamma"] = config["gamma"] ** (1 / length)
    return {**config, "by_epoch": False}
