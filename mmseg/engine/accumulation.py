"""Gradient accumulation that keeps the recipe: the same total batch, steps and learning rates."""

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg.errors import UserError

# Keys of schedulers that count iterations, besides `begin` and `end`.
SCHEDULERS: dict[str, tuple[str, ...]] = {
    "LinearLR": (),
    "ConstantLR": (),
    "PolyLR": (),
    "MultiStepLR": ("milestones",),
    "StepLR": ("step_size",),
    "CosineAnnealingLR": ("T_max",),
}
# What mmengine takes where a training config does not say it.
VAL_INTERVAL = 1000


def accumulate_gradients(config: Config, parts: int) -> None:
    """Split each batch of a training config into `parts` that run one after the other.

    mmengine counts the parts as iterations, so every number of iterations of the recipe grows by
    the same factor; a batch that the config has in parts already is split further. Batch norm sees
    one part at a time. Raises `UserError` for a config of which that is not known.
    """
    loader = config.train_dataloader
    if loader.batch_size % parts:
        raise UserError(
            f"--accumulate {parts} does not divide train_dataloader.batch_size={loader.batch_size}"
        )
    loader.batch_size //= parts
    wrapper = config.optim_wrapper
    wrapper.accumulative_counts = parts * wrapper.get("accumulative_counts", 1)
    config.train_cfg.setdefault("val_interval", VAL_INTERVAL)
    _multiply(config.train_cfg, ("max_iters", "val_interval", "val_begin"), parts)
    if intervals := config.train_cfg.get("dynamic_intervals"):
        config.train_cfg.dynamic_intervals = [
            (begin * parts, interval * parts) for begin, interval in intervals
        ]
    schedulers = config.get("param_scheduler") or []
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        _slow_down(scheduler, parts)
    checkpoint = config.get("default_hooks", {}).get("checkpoint") or {}
    _multiply(checkpoint, ("interval", "save_begin"), parts)
    for hook in config.get("custom_hooks") or []:
        if hook["type"] == "EMAHook":
            # The first average is taken after the first step, the others after each one.
            hook.update(interval=hook.get("interval", 1), begin_iter=hook.get("begin_iter") or 1)
            _multiply(hook, ("interval", "begin_iter"), parts)


def accumulated_parts(runner: Runner) -> int:
    """Return into how many parts the batches of a run are split."""
    return getattr(runner.optim_wrapper, "_accumulative_counts", 1)


def _slow_down(scheduler: Any, parts: int) -> None:
    if scheduler["type"] not in SCHEDULERS:
        raise UserError(
            f"--accumulate: param_scheduler of type {scheduler['type']}; there are "
            f"{', '.join(SCHEDULERS)}"
        )
    _multiply(scheduler, ("begin", *SCHEDULERS[scheduler["type"]]), parts)
    if "end" in scheduler:  # one more than the iteration of the last value
        scheduler["end"] = (scheduler["end"] - 1) * parts + 1


def _multiply(section: Any, keys: tuple[str, ...], factor: int) -> None:
    for key in keys:
        value = section.get(key, -1)
        if isinstance(value, list | tuple):
            section[key] = [each * factor for each in value]
        elif value > 0:  # -1 stands for none
            section[key] = value * factor
