"""From which file a run goes on, and from which it does not."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmseg.checkpoints.files import write_pickle
from mmseg.engine.resume import (
    check_same_training,
    check_schedule_goes_on,
    newest_whole,
    training_facts,
    where_to_start,
)
from mmseg.errors import UserError


def write(folder: Path, step: int) -> Path:
    path = folder / f"iter_{step}.pth"
    write_pickle(path, {"meta": {"iter": step}, "state_dict": {"weight": torch.arange(4000.0)}})
    return path


@pytest.mark.parametrize(
    ("config", "with_a_file", "without_one"),
    [
        ({"resume_from_work_dir": True}, (True, "iter_2.pth"), (False, None)),
        ({"resume_from_work_dir": True, "load_from": "a"}, (True, "iter_2.pth"), (False, "a")),
        ({"resume": True}, (True, "iter_2.pth"), (False, None)),
        ({"resume": True, "load_from": "a"}, (True, "a"), (True, "a")),
        ({"load_from": "a"}, (False, "a"), (False, "a")),
        ({}, (False, None), (False, None)),
        ({"resume": True, "load_from": "a", "train_cfg": None}, (False, "a"), (False, "a")),
    ],
)
def test_two_keys_and_the_work_directory_decide_where_a_run_starts(
    tmp_path, config, with_a_file, without_one
):
    config = Config({"work_dir": str(tmp_path), "train_cfg": {"max_iters": 1}, **config})
    for expected in (without_one, with_a_file):
        resumes, load_from, _ = where_to_start(config)
        assert (resumes, load_from and Path(load_from).name) == expected
        write(tmp_path, 2)


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"end": 2}, False),  # so it was meant
        ([{"end": 2}, {"end": 2}], False),
        ([{"end": 2}, {}], True),
        ({"gamma": 0.9}, True),
        (None, False),
    ],
)
@pytest.mark.parametrize("max_iters", [2, 3])
def test_a_run_of_the_same_length_or_with_an_end_goes_on(given, refused, max_iters):
    built = given and [SimpleNamespace(end=2)] * 2
    runner = SimpleNamespace(
        cfg={"param_scheduler": given}, param_schedulers=built, max_iters=max_iters
    )
    with pytest.raises(UserError) if refused and max_iters > 2 else nullcontext():
        check_schedule_goes_on(runner, "latest.pth")


def test_the_newest_whole_checkpoint_is_taken_and_a_damaged_one_named(tmp_path):
    assert newest_whole(tmp_path) == (None, [])
    paths = [write(tmp_path, step) for step in (2, 9, 10)]
    assert newest_whole(tmp_path) == (paths[2], [])
    (tmp_path / "latest.pth").symlink_to("iter_10.pth")
    assert newest_whole(tmp_path) == (paths[2], [])
    paths[2].write_bytes(paths[2].read_bytes()[:-500])
    found, warnings = newest_whole(tmp_path)
    assert found == paths[1]
    assert len(warnings) == 1 and "iter_10.pth: cannot be read" in warnings[0]


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_files_after_the_linked_one_belong_to_an_earlier_run(tmp_path, link):
    paths = [write(tmp_path, step) for step in (4, 90)]
    link(tmp_path / "latest.pth", paths[0])
    assert newest_whole(tmp_path)[0] == paths[0]


CONFIG = {
    "model": {"backbone": {"depths": (1, 2), "init_cfg": {"checkpoint": "a.pth"}}},
    "optim_wrapper": {"optimizer": {"lr": 0.1}},
    "train_dataloader": {
        "batch_size": 4,
        "num_workers": 0,
        "dataset": {"data_root": "here"},
        "sampler": {"type": "StatelessSampler"},
    },
    "train_cfg": {"max_iters": 10},
    "randomness": {"seed": 0},
}


def facts(processes=1, **changes):
    config = Config(CONFIG)
    config.merge_from_dict(changes)
    return training_facts(config, processes)


@pytest.mark.parametrize(
    "changes",
    [
        {"train_dataloader.num_workers": 8},
        {"train_dataloader.sampler.type": "InfiniteSampler"},  # mmengine's name of the same class
        {"train_dataloader.dataset.data_root": "there"},
        {"train_cfg.max_iters": 20},
        {"model.backbone.init_cfg": None},
        {"randomness.seed": None},
        {"randomness.diff_rank_seed": False},
    ],
)
def test_what_does_not_change_a_step_may_differ(changes):
    check_same_training(facts(), facts(**changes), "x.pth")


def test_what_the_pipeline_says_of_the_zero_label_was_stored_with_the_data_set():
    def stated(step, **dataset):
        steps = [{"type": "LoadAnnotations", **step}]
        return {"train_dataloader": {"dataset": {"pipeline": steps, **dataset}}}

    now = stated({"reduce_zero_label": True})
    check_same_training(stated({}, reduce_zero_label=True), now, "x.pth")
    with pytest.raises(UserError, match="reduce_zero_label: False there, True here"):
        check_same_training(stated({}, reduce_zero_label=False), now, "x.pth")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_dataloader.batch_size": 2}, r"train_dataloader\.batch_size: 4 there, 2 here"),
        ({"model.backbone.depths": (1, 3)}, r"model\.backbone\.depths: \[1, 2\] there, \[1, 3\]"),
        ({"optim_wrapper.clip": 1}, r"optim_wrapper\.clip: not set there, 1 here"),
        ({"randomness.seed": 5}, r"seed: 0 there, 5 here"),
        ({"randomness.diff_rank_seed": True}, r"diff_rank_seed: not set there, True here"),
        ({"train_cfg.accumulate": 2}, r"accumulate: not set there, 2 here"),
        ({"processes": 2}, r"processes: 1 there, 2 here"),
    ],
)
def test_another_training_is_refused_with_what_differs(changes, message):
    with pytest.raises(UserError, match=rf"x\.pth: belongs to another training \({message}"):
        check_same_training(facts(), facts(**changes), "x.pth")
