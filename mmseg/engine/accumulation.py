"""Gradient accumulation that keeps the recipe: the same total batch, steps and learning rates."""

from mmengine.config import Config

from mmseg.errors import UserError


def accumulate_gradients(config: Config, parts: int) -> None:
    """Split each batch of a training config into `parts` that run one after the other.

    mmengine counts the parts as iterations, so every number of iterations grows by the same factor.
    Batch norm sees one part at a time.
    """
    loader = config.train_dataloader
    if loader.batch_size % parts:
        raise UserError(
            f"--accumulate {parts} does not divide train_dataloader.batch_size={loader.batch_size}"
        )
    loader.batch_size //= parts
    config.optim_wrapper.accumulative_counts = parts
    config.train_cfg.max_iters *= parts
    config.train_cfg.val_interval *= parts
    for scheduler in config.param_scheduler:
        scheduler.begin *= parts
        # `end` is one more than the iteration of the last value.
        scheduler.end = (scheduler.end - 1) * parts + 1
    checkpoint = config.default_hooks.checkpoint
    if "interval" in checkpoint:
        checkpoint.interval *= parts
