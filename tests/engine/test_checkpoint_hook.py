"""When checkpoints are saved, what points to them, and which old ones go."""

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from mmseg.engine import LatestCheckpointHook
from mmseg.errors import UserError
from mmseg.evaluation import IoUMetric


class Saving:
    """What saving a checkpoint needs of mmengine's runner."""

    full = False

    def __init__(self, work_dir):
        self.work_dir = str(work_dir)
        self.message_hub = MessageHub.get_instance(str(work_dir))
        self.epoch = 0
        self.logger = logging.getLogger()
        self.iter = 0
        self.train_loop = SimpleNamespace(val_interval=8000, validates_now=False, epoch_length=None)
        self.val_loop = None

    def save_checkpoint(self, out_dir, filename, **_):
        if self.full:
            raise UserError(f"{filename}: cannot be written (No space left on device)")
        Path(out_dir, filename).write_text(filename)


def saving_hook(runner, **kwargs):
    hook = LatestCheckpointHook(**kwargs)
    hook.before_train(runner)
    return hook


def names(folder, pattern="iter_*"):
    return {path.name for path in folder.glob(pattern)}


def test_latest_checkpoint_is_a_link_to_the_newest_and_holds_when_the_folder_moves(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".latest.pth").write_text("left by an interrupted run")
    hook, runner = LatestCheckpointHook(interval=10), Saving(folder)
    for step in (10, 20):
        hook.save(runner, step)
        assert (folder / "latest.pth").read_text() == f"iter_{step}.pth"
    assert names(folder, "*") == {"iter_10.pth", "iter_20.pth", "latest.pth"}
    folder.rename(tmp_path / "moved")
    assert (tmp_path / "moved/latest.pth").read_text() == "iter_20.pth"


def test_old_checkpoints_go_but_not_those_of_a_run_that_went_further(tmp_path):
    (tmp_path / "iter_90.pth").touch()
    hook, runner = LatestCheckpointHook(interval=10, max_keep_ckpts=2), Saving(tmp_path)
    for step in (10, 20, 30):
        hook.save(runner, step)
    assert names(tmp_path) == {"iter_20.pth", "iter_30.pth", "iter_90.pth"}
    assert (tmp_path / "latest.pth").read_text() == "iter_30.pth"


def test_checkpoints_are_saved_as_often_as_validated_without_an_interval(tmp_path):
    assert saving_hook(Saving(tmp_path)).interval == 8000
    assert saving_hook(Saving(tmp_path), interval=5).interval == 5


def test_checkpoints_are_counted_in_iterations(tmp_path):
    with pytest.raises(UserError, match="by_epoch=True: a run counts in iterations"):
        saving_hook(Saving(tmp_path), by_epoch=True)


@pytest.mark.parametrize("prefix", [None, "val"])
def test_a_best_score_that_the_validation_will_not_give_ends_the_run_before_it(tmp_path, prefix):
    runner = Saving(tmp_path)
    metric = IoUMetric(iou_metrics=["mDice"], prefix=prefix)
    runner.val_loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[metric]))
    given = ["aAcc", "mDice", "mAcc"] if prefix is None else ["val/aAcc", "val/mDice", "val/mAcc"]
    for name in (*given, "auto"):
        saving_hook(runner, save_best=name, rule="greater")
    with pytest.raises(UserError, match=f"save_best='mIoU': .* gives {', '.join(given)}"):
        saving_hook(runner, save_best="mIoU", rule="greater")


def test_a_best_score_that_a_foreign_metric_does_not_give_is_named(tmp_path):
    runner = Saving(tmp_path)
    hook = saving_hook(runner, save_best="mIoU")
    with pytest.raises(UserError, match="save_best='mIoU': the validation gives F1, aAcc; choose"):
        hook.after_val_epoch(runner, {"F1": 1.0, "aAcc": 2.0})
    hook = saving_hook(runner, save_best="auto")
    with pytest.raises(UserError, match="save_best='auto': the validation gives no scores; choose"):
        hook.after_val_epoch(runner, {})


@pytest.mark.parametrize(("hard", "linked"), [(True, True), (False, False)])
def test_where_no_symbolic_link_can_be_made_there_is_a_hard_link_or_one_note(
    tmp_path, monkeypatch, caplog, hard, linked
):
    def refuse(*_):
        raise OSError(1314, "A required privilege is not held by the client")

    runner = Saving(tmp_path)
    hook = saving_hook(runner, interval=10, max_keep_ckpts=1)
    monkeypatch.setattr(Path, "symlink_to", refuse)
    if not hard:
        monkeypatch.setattr(os, "link", refuse)
    for step in (10, 20, 30):
        assert hook.save(runner, step)
    assert names(tmp_path) == {"iter_30.pth"}
    assert (tmp_path / "latest.pth").exists() == linked
    assert not linked or (tmp_path / "latest.pth").read_text() == "iter_30.pth"
    assert caplog.text.count("latest.pth: cannot be written (A required") == (not linked)


@pytest.mark.parametrize(
    ("name", "options", "rule"),
    [
        *(("mIoU", {}, "greater"), ("val/mIoU", {}, "greater"), ("val_loss", {}, "less")),
        ("RMSE", {"rule": "less"}, "less"),
        ("RMSE", {}, None),
    ],
)
def test_a_score_is_better_as_its_rule_or_its_name_says(name, options, rule):
    if rule is None:
        with pytest.raises(UserError, match=r"save_best='RMSE' .* set rule='greater'"):
            LatestCheckpointHook(save_best=name, **options)
    else:
        hook = LatestCheckpointHook(save_best=name, **options)
        assert hook._sign(name) == (1 if rule == "greater" else -1)


def test_a_full_disk_keeps_the_older_files_and_the_next_interval_tries_again(tmp_path, caplog):
    runner = Saving(tmp_path)
    hook = saving_hook(runner, interval=10, max_keep_ckpts=1)
    assert hook.save(runner, 10)
    runner.full = True
    assert not hook.save(runner, 20)
    assert "iter_20.pth: cannot be written (No space left" in caplog.text
    assert "the next save is the next attempt" in caplog.text
    assert (tmp_path / "latest.pth").read_text() == "iter_10.pth"
    runner.full = False
    assert hook.save(runner, 30)
    assert names(tmp_path) == {"iter_30.pth"}


def test_a_run_whose_last_state_is_not_saved_ends_with_an_error(tmp_path):
    runner = Saving(tmp_path)
    hook = saving_hook(runner, interval=10)
    hook.after_train(runner)  # nothing was to be done
    runner.full, runner.iter = True, 20
    hook.save(runner, 20)
    with pytest.raises(UserError, match="the last iteration, 20, could not be saved"):
        hook.after_train(runner)
    runner.full = False
    hook.save(runner, 20)
    hook.after_train(runner)


def test_the_best_file_is_replaced_only_by_a_whole_better_one(tmp_path):
    runner = Saving(tmp_path)
    hook = saving_hook(runner, interval=10, save_best="mIoU")
    for step, score, full, best in (
        *((10, 50.0, False, 10), (20, 40.0, False, 10)),
        *((30, 60.0, True, 10), (40, 55.0, False, 40)),
    ):
        runner.iter, runner.full = step, full
        hook.after_val_epoch(runner, {"mIoU": score})
        assert names(tmp_path, "best_*") == {f"best_mIoU_iter_{best}.pth"}
    assert runner.message_hub.get_info("best_score") == 55.0
