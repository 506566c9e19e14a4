"""When checkpoints are saved, which of them `latest.pth` is, and which old ones go."""

import os
from collections.abc import Iterable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmseg.compat.names import registered_names
from mmseg.engine.resume import LATEST, numbered
from mmseg.errors import UserError
from mmseg.evaluation import IoUMetric
from mmseg.registry import HOOKS, CountOrOff


@HOOKS.register_module(name=registered_names("LatestCheckpointHook"))
class LatestCheckpointHook(Hook):
    """Save `iter_<n>.pth` and `best_<score>_iter_<n>.pth`, and link `latest.pth` to the newest.

    The arguments are those of mmengine's `CheckpointHook`, without those that name files and
    places. A run of epochs counts `interval` and `save_begin` in epochs, unless `by_epoch=False`
    says otherwise. Without an `interval` a checkpoint is saved as often as the run validates. An
    old file goes only after the one that replaces it is whole. A file that cannot be written (a
    full disk) does not end the run: the older files stay, and the next interval is the next
    attempt. A run whose last file could not be written ends with a `UserError`.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: CountOrOff = -1,
        by_epoch: bool | None = None,
        max_keep_ckpts: CountOrOff = -1,
        save_begin: int = 0,
        save_last: bool = True,
        save_best: str | list[str] | None = None,
        rule: str | list[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
    ) -> None:
        self.by_epoch = by_epoch
        self.interval, self.save_begin, self.save_last = interval, save_begin, save_last
        self.max_keep_ckpts = max_keep_ckpts
        self.scores = [save_best] if isinstance(save_best, str) else list(save_best or ())
        self.rule_options = {"rule": rule, "greater_keys": greater_keys, "less_keys": less_keys}
        self.rules = self._rules()
        self.parts = {
            "save_optimizer": save_optimizer,
            "save_param_scheduler": save_param_scheduler,
        }
        self.trains = self.told_of_link = False
        self.saved_step: int | None = None
        self.failed_step: int | None = None

    def before_train(self, runner: Runner) -> None:
        self.trains = True
        loop = runner.train_loop
        length = getattr(loop, "epoch_length", None)
        if self.by_epoch and not length:
            raise UserError("default_hooks.checkpoint.by_epoch=True: a run counts in iterations")
        if length and self.by_epoch is not False:
            self.save_begin *= length
            self.interval *= length if self.interval > 0 else 1
        if self.interval == -1:
            self.interval = loop.val_interval
        self._check_scores(runner)
        # A run that was stopped between a checkpoint and its validation makes up for it.
        if loop.validates_now and runner.message_hub.get_info("last_validation") != loop.iter:
            self.saved_step = loop.iter
            runner.val_loop.run()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        due = self.every_n_train_iters(runner, self.interval, self.save_begin)
        if due or (self.save_last and self.is_last_train_iter(runner)):
            self.save(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        if self.failed_step is not None and self.failed_step == runner.iter:
            raise UserError(
                f"{runner.work_dir}: the state after the last iteration, {runner.iter}, could not "
                "be saved; make room and start again with --resume"
            )

    def before_val(self, runner: Runner) -> None:
        # A validation takes long: a run that is stopped in it goes on from here.
        if self.trains and self.saved_step != runner.iter:
            self.save(runner, runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        if self.trains:
            runner.message_hub.update_info("last_validation", runner.iter)
            self._save_best(runner, metrics or {})
            self.save(runner, runner.iter)

    def save(self, runner: Runner, step: int) -> bool:
        """Save the state after `step` iterations; return whether the file is there."""
        path = Path(runner.work_dir, f"iter_{step}.pth")
        if not self._write(runner, path, step, **self.parts):
            self.failed_step = step
            return False
        self.saved_step, self.failed_step = step, None
        self._link(runner, path)
        self._prune(path, step)
        return True

    def _save_best(self, runner: Runner, metrics: dict) -> None:
        if self.scores == ["auto"]:
            self.scores = [*metrics][:1]
            self.rules = self._rules()
        info = runner.message_hub
        for name, rule in zip(self.scores, self.rules, strict=True):
            if name not in metrics:
                raise _unknown_score(name, metrics)
            suffix = "" if len(self.scores) == 1 else f"_{name}"
            sign = 1 if rule == "greater" else -1
            score, best = metrics[name], info.get_info(f"best_score{suffix}", -inf * sign)
            if score is None or not score * sign > best * sign:
                continue
            path = Path(runner.work_dir, f"best_{name}_iter_{runner.iter}.pth".replace("/", "_"))
            if self._write(runner, path, runner.iter, **dict.fromkeys(self.parts, False)):
                runner.logger.info(f"best {name} so far, {score:.4f}: {path.name}")
                _remove_old_best(info.get_info(f"best_ckpt{suffix}"), path)
                info.update_info(f"best_score{suffix}", score)
                info.update_info(f"best_ckpt{suffix}", str(path))

    def _rules(self) -> list[str]:
        """Return 'greater' or 'less' for each score, as mmengine's hook finds it."""
        if not self.scores:
            return []
        try:
            return CheckpointHook(save_best=self.scores, **self.rule_options).rules
        except (AssertionError, KeyError, ValueError) as error:
            raise UserError(
                f"default_hooks.checkpoint.save_best={self.scores} ({error}): set rule='greater' "
                "or rule='less'"
            ) from error

    def _check_scores(self, runner: Runner) -> None:
        """Refuse, before hours of training, a score that the validation will not give."""
        metrics = runner.val_loop.evaluator.metrics if self.scores and runner.val_loop else []
        if metrics and all(isinstance(metric, IoUMetric) for metric in metrics):
            names = [
                f"{metric.prefix}/{name}" if metric.prefix else name
                for metric in metrics
                for name in metric.summary_names()
            ]
            for name in {*self.scores} - {"auto", *names}:
                raise _unknown_score(name, names)

    def _write(self, runner: Runner, path: Path, step: int, **parts: bool) -> bool:
        meta = {"epoch": 0, "iter": step}
        try:
            runner.save_checkpoint(str(path.parent), path.name, meta=meta, by_epoch=False, **parts)
        except UserError as error:
            runner.logger.error(
                f"{error}; older checkpoints are kept, and the next save is the next attempt"
            )
            return False
        return True

    @master_only
    def _link(self, runner: Runner, newest: Path) -> None:
        latest, temporary = newest.with_name(LATEST), newest.with_name(f".{LATEST}")
        try:
            temporary.unlink(missing_ok=True)
            try:
                temporary.symlink_to(newest.name)
            except OSError:  # Windows allows it only to some users
                os.link(newest, temporary)
            os.replace(temporary, latest)  # in one step: the link never points nowhere
        except OSError as error:
            if not self.told_of_link:
                runner.logger.warning(
                    f"{latest}: cannot be written ({error.strerror}); the newest checkpoint is the "
                    "iter_<n>.pth with the highest number"
                )
            self.told_of_link = True

    @master_only
    def _prune(self, newest: Path, step: int) -> None:
        if self.max_keep_ckpts > 0:
            # Later ones belong to a run that went further, before this one started again.
            old = [path for number, path in numbered(newest.parent) if number <= step]
            latest = newest.with_name(LATEST)
            for path in old[self.max_keep_ckpts :]:
                if not (latest.exists() and latest.samefile(path)):
                    path.unlink(missing_ok=True)


@master_only
def _remove_old_best(old: str | None, new: Path) -> None:
    # By its name: the folder may have moved since.
    if old and Path(old).name != new.name:
        new.with_name(Path(old).name).unlink(missing_ok=True)


def _unknown_score(name: str, names: Iterable[str]) -> UserError:
    return UserError(
        f"default_hooks.checkpoint.save_best={name!r}: the validation gives {', '.join(names)}"
    )
