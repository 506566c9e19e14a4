"""When checkpoints are saved, what points to them, and which old ones go."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmseg.engine.resume import LATEST, numbered
from mmseg.errors import UserError
from mmseg.evaluation import IoUMetric
from mmseg.registry import HOOKS


@HOOKS.register_module(name=["LatestCheckpointHook", "CheckpointHook"])
class LatestCheckpointHook(CheckpointHook):
    """mmengine's checkpoints, and `latest.pth` in the work directory as a link to the newest.

    Without an `interval` a checkpoint is saved as often as the run validates. What is old goes only
    after what replaces it is whole. A file that cannot be written (a full disk) does not end the
    run: the older files stay, and the next interval is the next attempt. A run whose last file
    could not be written ends with a `UserError`.
    """

    interval: int
    saved_step: int | None = None
    failed_step: int | None = None

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = False,
        max_keep_ckpts: int = -1,
        save_begin: int = 0,
        save_last: bool = True,
        save_best: str | list[str] | None = None,
        rule: str | list[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
    ) -> None:
        # Resuming looks for iter_<n>.pth in the work directory: names and places have no option.
        if by_epoch:
            raise UserError("default_hooks.checkpoint.by_epoch=True: a run counts in iterations")
        super().__init__(
            interval=interval,
            by_epoch=False,
            max_keep_ckpts=max_keep_ckpts,
            save_begin=save_begin,
            save_last=save_last,
            save_best=save_best,
            rule=rule,
            greater_keys=greater_keys,
            less_keys=less_keys,
            save_optimizer=save_optimizer,
            save_param_scheduler=save_param_scheduler,
        )

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if self.interval == -1:
            self.interval = runner.train_loop.val_interval
        self._check_best(runner)
        # A run that was stopped between a checkpoint and its validation makes up for it.
        loop = runner.train_loop
        done = runner.message_hub.get_info("last_validation")
        if getattr(loop, "validates_now", False) and done != loop.iter:
            self.saved_step = loop.iter
            runner.val_loop.run()

    def after_train(self, runner: Runner) -> None:
        super().after_train(runner)
        if self.failed_step == runner.iter:
            raise UserError(
                f"{self.out_dir}: the state after the last iteration, {runner.iter}, could not be "
                "saved; make room and start again with --resume"
            )

    def before_val(self, runner: Runner) -> None:
        # A validation takes long: a run that is stopped in it goes on from here. One without a
        # training, by `runner.val()`, has nowhere to save.
        if self.out_dir is not None and self.saved_step != runner.iter:
            self.save(runner, runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        if self.out_dir is None:
            return
        runner.message_hub.update_info("last_validation", runner.iter)
        super().after_val_epoch(runner, metrics)
        self.save(runner, runner.iter)

    def save(self, runner: Runner, step: int) -> bool:
        """Save the state after `step` iterations; tell whether the file is there."""
        self._save_checkpoint_with_step(runner, step, {"epoch": runner.epoch, "iter": step})
        return self.saved_step == step

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        path = Path(self.out_dir, self.filename_tmpl.format(step))
        if self._write(runner, path, meta, whole_state=True):
            self.saved_step, self.failed_step = step, None
            self._tidy(runner, path, step)
        else:
            self.failed_step = step

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        if "auto" in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        info = runner.message_hub
        for key, rule in zip(self.key_indicators, self.rules, strict=True):
            suffix = "" if len(self.key_indicators) == 1 else f"_{key}"
            score_name, path_name = f"best_score{suffix}", f"best_ckpt{suffix}"
            if key not in metrics:
                raise _unknown_best(key, metrics)
            score = metrics[key]
            best = info.get_info(score_name, self.init_value_map[rule])
            if score is None or not self.is_better_than[key](score, best):
                continue
            name = f"best_{key}_{self.filename_tmpl.format(runner.iter)}".replace("/", "_")
            path = Path(self.out_dir, name)
            meta = {"epoch": runner.epoch, "iter": runner.iter}
            if not self._write(runner, path, meta, whole_state=False):
                continue
            runner.logger.info(f"best {key} so far, {score:.4f}: {name}")
            self._remove_old_best(info.get_info(path_name), path)
            info.update_info(score_name, score)
            info.update_info(path_name, str(path))

    def _check_best(self, runner: Runner) -> None:
        """Refuse, before hours of training, a score that the validation will not give."""
        metrics = runner.val_loop.evaluator.metrics if self.save_best and runner.val_loop else []
        if metrics and all(isinstance(metric, IoUMetric) for metric in metrics):
            names = [
                f"{metric.prefix}/{name}" if metric.prefix else name
                for metric in metrics
                for name in metric.summary_names()
            ]
            for key in {*self.key_indicators} - {"auto", *names}:
                raise _unknown_best(key, names)

    def _write(self, runner: Runner, path: Path, meta: dict, whole_state: bool) -> bool:
        try:
            runner.save_checkpoint(
                str(path.parent),
                path.name,
                save_optimizer=whole_state and self.save_optimizer,
                save_param_scheduler=whole_state and self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
            )
        except UserError as error:
            runner.logger.error(
                f"{error}; older checkpoints are kept, and the next save is the next attempt"
            )
            return False
        return True

    @master_only
    def _tidy(self, runner: Runner, newest: Path, step: int) -> None:
        # Replaced in one step: the link never points nowhere.
        temporary = newest.with_name(f".{LATEST}")
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(newest.name)
            os.replace(temporary, newest.with_name(LATEST))
        except OSError as error:
            runner.logger.error(f"{newest.with_name(LATEST)}: cannot be written ({error.strerror})")
            return  # what it points to stays
        if self.max_keep_ckpts > 0:
            # Later ones belong to a run that went further, before this one started again.
            old = [path for number, path in numbered(newest.parent) if number <= step]
            for path in old[self.max_keep_ckpts :]:
                path.unlink(missing_ok=True)

    @master_only
    def _remove_old_best(self, old: str | None, new: Path) -> None:
        # By its name: the folder may have moved since.
        if old and Path(old).name != new.name:
            new.with_name(Path(old).name).unlink(missing_ok=True)


def _unknown_best(key: str, names: Iterable[str]) -> UserError:
    return UserError(
        f"default_hooks.checkpoint.save_best={key!r}: the validation gives {', '.join(names)}"
    )
