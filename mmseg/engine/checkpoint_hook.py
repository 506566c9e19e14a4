"""When checkpoints are saved, what points to them, and which old ones go."""

import os
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmseg.engine.resume import LATEST, numbered
from mmseg.errors import UserError
from mmseg.registry import HOOKS


@HOOKS.register_module(name=["LatestCheckpointHook", "CheckpointHook"])
class LatestCheckpointHook(CheckpointHook):
    """mmengine's checkpoints, and `latest.pth` in the work directory as a link to the newest.

    Without an `interval` a checkpoint is saved as often as the run validates. What is old goes only
    after what replaces it is whole. A file that cannot be written (a full disk) does not end the
    run: the older files stay, and the next interval is the next attempt.
    """

    interval: int
    saved_step: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.args:  # what mmengine would hand on to the first save, hours later
            raise UserError(f"default_hooks.checkpoint: unknown key {', '.join(self.args)}")

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if self.interval == -1:
            self.interval = runner.train_loop.val_interval
        # A run that was stopped between a checkpoint and its validation makes up for it.
        loop = runner.train_loop
        done = runner.message_hub.get_info("validated_iter")
        if getattr(loop, "validates_now", False) and done != loop.iter:
            self.saved_step = loop.iter
            runner.val_loop.run()

    def before_val(self, runner: Runner) -> None:
        # A validation takes long: a run that is stopped in it goes on from here.
        if self.saved_step != runner.iter:
            self.save(runner, runner.iter)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        runner.message_hub.update_info("validated_iter", runner.iter)
        super().after_val_epoch(runner, metrics)
        self.save(runner, runner.iter)

    def save(self, runner: Runner, step: int) -> bool:
        """Save the state after `step` iterations; tell whether the file is there."""
        self._save_checkpoint_with_step(runner, step, {"epoch": runner.epoch, "iter": step})
        return self.saved_step == step

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        path = Path(self.out_dir, self.filename_tmpl.format(step))
        if self._write(runner, path, meta, whole_state=True):
            self.saved_step = step
            self._tidy(path, step)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        if "auto" in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        info = runner.message_hub
        for key, rule in zip(self.key_indicators, self.rules, strict=True):
            suffix = "" if len(self.key_indicators) == 1 else f"_{key}"
            score_name, path_name = f"best_score{suffix}", f"best_ckpt{suffix}"
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
                f"{error}; older checkpoints are kept, training goes on and the next attempt is "
                f"in {self.interval} iterations"
            )
            return False
        return True

    @master_only
    def _tidy(self, newest: Path, step: int) -> None:
        # Replaced in one step: the link never points nowhere.
        temporary = newest.with_name(f".{LATEST}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(newest.name)
        os.replace(temporary, newest.with_name(LATEST))
        if self.max_keep_ckpts > 0:
            # Later ones belong to a run that went further, before this one started again.
            old = [path for number, path in numbered(newest.parent) if number <= step]
            for path in old[self.max_keep_ckpts :]:
                path.unlink()

    @master_only
    def _remove_old_best(self, old: str | None, new: Path) -> None:
        # By its name: the folder may have moved since.
        if old and Path(old).name != new.name:
            new.with_name(Path(old).name).unlink(missing_ok=True)
