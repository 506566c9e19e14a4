"""The training loop: an iteration is one step of the optimiser, and depends on its number alone.

It calls mmengine's hooks in mmengine's order, but does not derive from `IterBasedTrainLoop`. That
class has no place for gradient accumulation within an iteration, nor for a step that is skipped.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any

from mmengine.runner import BaseLoop, Runner
from torch import Tensor, nn

from mmseg.checkpoints.files import write_pickle
from mmseg.checkpoints.loading import unwrap
from mmseg.compat import registered_names
from mmseg.engine.loaders import build_loader
from mmseg.errors import NonFiniteLoss, UserError
from mmseg.randomness import seed_all, seed_of
from mmseg.registry import LOOPS, Count

# mmengine has a class for runs of epochs, whose names stand for this one too.
NAMES = [*registered_names("SegTrainLoop"), *registered_names("EpochTrainLoop")]


@LOOPS.register_module(name=NAMES)
class SegTrainLoop(BaseLoop):
    """Train for `max_iters` iterations and validate every `val_interval` (1000), from `val_begin`.

    With `max_epochs` instead, all intervals count in epochs, by default 1. So do checkpoints and
    the schedulers with `by_epoch`, but the rate changes at each iteration. An epoch has as many
    iterations as there are images, divided by the images of an iteration and rounded up.

    Each iteration's own draws (drop path, dropout, NMF bases) start from a seed of its own.
    `accumulate` splits each batch into that many parts: they run one after the other, and their
    mean gradient makes one step. Batch norm sees one part at a time. A loss that is NaN or infinite
    ends the run before the step, after `max_skipped_steps` steps that were left out.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        max_iters: Count | None = None,
        val_begin: int = 1,
        val_interval: Count | None = None,
        accumulate: Count = 1,
        max_skipped_steps: int = 0,
        max_epochs: Count | None = None,
    ) -> None:
        randomness = runner.cfg.get("randomness") or {}
        diff_rank_seed = randomness.get("diff_rank_seed", False)
        super().__init__(runner, build_loader(dataloader, runner.seed, diff_rank_seed, trains=True))
        if (self.dataloader.batch_size or 0) % accumulate:
            raise UserError(
                f"train_cfg.accumulate={accumulate} does not divide "
                f"train_dataloader.batch_size={self.dataloader.batch_size}"
            )
        if max_skipped_steps and _counts_of_mmengine(runner) > 1:
            raise UserError(
                "train_cfg.max_skipped_steps does not go with optim_wrapper.accumulative_counts: "
                "use train_cfg.accumulate, which splits the batch of one iteration"
            )
        if (max_iters is None) == (max_epochs is None):
            raise UserError("train_cfg: give either max_iters or max_epochs")
        self.iter = self.epoch = 0
        self.epoch_length = self._count_epochs(runner) if max_epochs else None
        length = self.epoch_length or 1
        self.val_interval = (val_interval or (1 if max_epochs else 1000)) * length
        self.max_iters, self.max_epochs = (max_iters or max_epochs or 0) * length, max_epochs or 1
        self.val_begin = val_begin * length
        self.accumulate = accumulate
        self.max_skipped_steps = max_skipped_steps
        self.stop_training = False  # mmengine's EarlyStoppingHook sets it
        runner.visualizer.dataset_meta = self.dataloader.dataset.metainfo

    def _count_epochs(self, runner: Runner) -> int:
        """Return the iterations of an epoch, and let schedulers and log count iterations."""
        images = (self.dataloader.batch_size or 1) * runner.world_size
        length = math.ceil(len(self.dataloader.dataset) / images)
        given: Any = runner.param_schedulers or []
        schedulers = [given] if isinstance(given, Mapping) else given
        runner.param_schedulers = [in_iterations(each, length) for each in schedulers] or None
        runner.log_processor.by_epoch = False
        runner.logger.info(f"an epoch has {length} iterations")
        return length

    @property
    def validates_now(self) -> bool:
        """Whether a validation belongs to the iterations done so far."""
        return (
            self.runner.val_loop is not None
            and self.iter >= max(self.val_begin, 1)
            and (self.iter % self.val_interval == 0 or self.iter == self.max_iters)
        )

    def run(self) -> nn.Module:
        """Train from the present iteration to the last, and return the model."""
        runner = self.runner
        self._count_from(self.iter)
        runner.call_hook("before_train")
        runner.call_hook("before_train_epoch")
        if lost := self.iter % _counts_of_mmengine(runner):
            runner.logger.warning(
                f"the gradients of {lost} iterations are lost: iteration {self.iter}, from which "
                "the run goes on, is between two steps of optim_wrapper.accumulative_counts"
            )
        if self.iter >= self.max_iters:
            runner.logger.info(f"all {self.max_iters} iterations were done already")
        batches = self._batches()
        while self.iter < self.max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(next(batches))
            if self.validates_now:
                runner.val_loop.run()
        runner.call_hook("after_train_epoch")
        runner.call_hook("after_train")
        return runner.model

    def run_iter(self, batch: Mapping[str, Any]) -> None:
        """Make one step with a batch, or skip it if its loss is not finite."""
        runner, network = self.runner, unwrap(self.runner.model)
        seed_iteration(runner)
        runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
        # A forward pass changes the statistics of batch norm, even if its step is then skipped.
        buffers = [b.clone() for b in network.buffers()] if self.max_skipped_steps else []
        outputs = None
        try:
            outputs = self._step(batch)
        except NonFiniteLoss as error:
            self._skip(error.losses, batch)
            for buffer, before in zip(network.buffers(), buffers, strict=True):
                buffer.copy_(before)
        runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=outputs)
        self.iter += 1

    def _batches(self) -> Iterator[Any]:
        """Yield batches without an end, from the present iteration on."""
        sampler, size = self.dataloader.sampler, self.dataloader.batch_size
        if size and hasattr(sampler, "skip"):
            sampler.skip(self.iter * size)
            return self._endless()
        return islice(self._endless(), self.iter, None)

    def _endless(self) -> Iterator[Any]:
        for epoch in count():  # one is all, with a sampler that has no end
            if hasattr(self.dataloader.sampler, "set_epoch"):
                self.dataloader.sampler.set_epoch(epoch)
            yield from self.dataloader

    def _step(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the losses by name, each the mean over the parts of the batch."""
        runner = self.runner
        outputs = [
            runner.model.train_step(part, optim_wrapper=runner.optim_wrapper)
            for part in split_batch(batch, self.accumulate)
        ]
        if len(outputs) == 1:
            return outputs[0]
        return {name: sum(each[name] for each in outputs) / len(outputs) for name in outputs[0]}

    def _count_from(self, iteration: int) -> None:
        # mmengine's wrapper counts backward passes. It divides the loss by `accumulative_counts`,
        # and steps and lets DDP synchronise gradients once in as many passes.
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model, iteration * self.accumulate, self.max_iters * self.accumulate
        )

    def _skip(self, losses: Mapping[str, float], batch: Mapping[str, Any]) -> None:
        runner, info = self.runner, self.runner.message_hub
        values = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        told = f"iteration {self.iter + 1}: the loss is not finite in some process (here {values})"
        files = [sample.metainfo["img_path"] for sample in batch["data_samples"]]
        images = f"images {', '.join(files)}"
        skipped = info.get_info("skipped_steps", 0) + 1
        if skipped > self.max_skipped_steps:
            kept = self._keep({"losses": losses, "files": files}, batch)
            raise UserError(f"{told}; {kept}; {images}")
        info.update_info("skipped_steps", skipped)
        runner.optim_wrapper.zero_grad()  # of the parts before this one
        self._count_from(self.iter + 1)
        runner.logger.warning(
            f"{told}; this step is left out, {skipped} of at most {self.max_skipped_steps}; "
            f"{images}"
        )

    def _keep(self, content: dict[str, Any], batch: Mapping[str, Any]) -> str:
        """Write the batch and the parameters to a file, and return a text that says where."""
        name = f"nonfinite_iter_{self.iter + 1}_process_{self.runner.rank}.pth"
        path, samples = Path(self.runner.work_dir, name), batch["data_samples"]
        labels = batch["labels"] if "labels" in batch else [s.gt_sem_seg.data for s in samples]
        content |= {
            "iteration": self.iter + 1,
            "inputs": batch["inputs"],
            "distortions": [sample.metainfo.get("distortion") for sample in samples],
            "labels": [label.cpu() for label in labels],
            "state_dict": unwrap(self.runner.model).state_dict(),
        }
        try:
            write_pickle(path, content)
        except UserError as error:
            return str(error)
        return f"{path} holds this batch and the parameters before the step"


def seed_iteration(runner: Runner) -> None:
    """Start the generators for what the present iteration itself draws in this process."""
    seed_all(seed_of(runner.seed, "model", runner.rank, runner.iter))


def split_batch(batch: Mapping[str, Any], parts: int) -> list[Mapping[str, Any]]:
    """Split a batch of tensors and lists into `parts` of the same size, in order."""
    if parts == 1:
        return [batch]
    size = len(batch["inputs"])
    if size % parts:
        raise UserError(f"train_cfg.accumulate={parts} does not divide a batch of {size} images")
    step = size // parts
    return [
        {key: value[start : start + step] for key, value in batch.items()}
        for start in range(0, size, step)
    ]


def in_iterations(scheduler: Mapping, length: int) -> dict[str, Any]:
    """Let mmengine turn a scheduler's config into iterations; an epoch has `length` of them."""
    if not scheduler.get("by_epoch", True):
        return dict(scheduler)
    config = {**scheduler, "convert_to_iter_based": True, "epoch_length": length}
    if config["type"] == "ExponentialLR":
        config["gamma"] **= 1 / length
    return config


def _counts_of_mmengine(runner: Runner) -> int:
    return (runner.cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)
