"""When checkpoints are saved, which of them `latest.pth` is, and which old ones go."""

import os
from collections.abc import Collection
from math import inf
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from mmseg.compat import registered_names
from mmseg.engine.resume import LATEST, numbered
from mmseg.errors import UserError
from mmseg.evaluation import IoUMetric
from mmseg.registry import HOOKS, CountOrOff


@HOOKS.register_module(name=registered_names("LatestCheckpointHook"))
class LatestCheckpointHook(Hook):
    """Save `iter_<n>.pth` and `best_<score>_iter_<n>.pth`, and link `latest.pth` to the newest.

    The arguments are those of mmengine's `CheckpointHook`, without those that name files, places
    and parts of a checkpoint, and with one score. A run of epochs counts `interval` and
    `save_begin` in epochs, unless `by_epoch=False` says otherwise. Without an `interval` a
    checkpoint is saved as often as the run validates. An old file goes only after the one that
    replaces it is whole. A file that cannot be written (a full disk) does not end the run: the
    older files stay, and the next interval is the next attempt. A run whose last file could not be
    written ends with a `UserError`.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: CountOrOff = -1,
        by_epoch: bool | None = None,
        max_keep_ckpts: CountOrOff = -1,
        save_begin: int = 0,
        save_last: bool = True,
        save_best: str | None = None,
        rule: str | None = None,
    ) -> None:
        self.by_epoch = by_epoch
        self.interval, self.save_begin, self.save_last = interval, save_begin, save_last
        self.max_keep_ckpts = max_keep_ckpts
        self.score, self.rule = save_best, rule
        self._sign(save_best)
        self.trains = self.told_of_link = False
        self.saved_step: int | None = None
        self.failed_step: int | None = None

    def before_train(self, runner: Runner) -> None:
        self.trains = True
        loop = runner.train_loop
        length = loop.epoch_length
        if self.by_epoch and not length:
            raise UserError("default_hooks.checkpoint.by_epoch=True: a run counts in iterations")
        if length and self.by_epoch is not False:
            self.save_begin *= length
            self.interval *= length if self.interval > 0 else 1
        if self.interval == -1:
            self.interval = loop.val_interval
        metrics: list[Any] = runner.val_loop.evaluator.metrics if runner.val_loop else []
        known = metrics and all(isinstance(metric, IoUMetric) for metric in metrics)
        if known and self.score not in (None, "auto"):
            names = [(m.prefix, name) for m in metrics for name in m.summary_names()]
            self._check_score(["/".join(filter(None, each)) for each in names])
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
        if not self._write(runner, path, step):
            self.failed_step = step
            return False
        self.saved_step, self.failed_step = step, None
        self._link(runner, path)
        self._prune(path, step)
        return True

    def _save_best(self, runner: Runner, metrics: dict) -> None:
        if self.score is None:
            return
        if self.score == "auto" and metrics:
            self.score = next(iter(metrics))
        self._check_score(metrics)
        info, score = runner.message_hub, metrics[self.score]
        sign = self._sign(self.score)
        if score is None or not score * sign > info.get_info("best_score", -sign * inf) * sign:
            return
        name = f"best_{self.score}_iter_{runner.iter}.pth".replace("/", "_")
        path, old = Path(runner.work_dir, name), info.get_info("best_ckpt")
        if self._write(runner, path, runner.iter, whole=False):
            runner.logger.info(f"best {self.score} so far, {score:.4f}: {name}")
            info.update_info("best_score", score)
            info.update_info("best_ckpt", str(path))
            if old and Path(old).name != name:  # by its name: the folder may have moved since
                master_only(path.with_name(Path(old).name).unlink)(missing_ok=True)

    def _sign(self, score: str | None) -> int:
        """Return 1 if more of a score is better, -1 if less is, as mmengine's hook finds it."""
        try:
            hook = CheckpointHook(save_best=score, rule=self.rule)
        except (AssertionError, KeyError, ValueError) as error:
            raise UserError(
                f"default_hooks.checkpoint.save_best={score!r} ({error}): set rule='greater' or "
                "rule='less'"
            ) from error
        return -1 if score and hook.rules == ["less"] else 1

    def _check_score(self, given: Collection[str]) -> None:
        """Refuse, before hours of training if possible, a score that the validation gives not."""
        if self.score not in given:
            raise UserError(
                f"default_hooks.checkpoint.save_best={self.score!r}: the validation gives "
                f"{', '.join(given) or 'no scores'}; choose one of them, or None"
            )

    def _write(self, runner: Runner, path: Path, step: int, whole: bool = True) -> bool:
        how: dict = {"by_epoch": False, "save_optimizer": whole, "save_param_scheduler": whole}
        how["meta"] = {"epoch": 0, "iter": step}
        try:
            runner.save_checkpoint(str(path.parent), path.name, **how)
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
