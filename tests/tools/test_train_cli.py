"""Training from the command line: what it leaves, and how it goes on."""

import os
import re

import pytest
import torch
from run_tool import run

from mmseg.results.figures import read_curves


def test_training_leaves_a_link_to_the_newest_checkpoint_and_the_best_one(project):
    work = project / "work_dirs/tiny"
    assert os.readlink(work / "latest.pth") == "iter_4.pth"
    assert (work / "iter_2.pth").is_file()
    assert list(work.glob("best_mIoU_iter_*.pth"))


def test_a_resumed_run_goes_on_where_it_stopped(project):
    before = torch.load(project / "work_dirs/tiny/iter_4.pth", weights_only=False)
    more = ("--cfg-options", "train_cfg.max_iters=6")
    output = run(project, "train.py", "tiny.py", "--work-dir", "resumed", *more, "--no-validate")
    fresh = torch.load(project / "resumed/iter_6.pth", weights_only=False)
    output = run(
        project,
        *("train.py", "tiny.py", "--resume", "work_dirs/tiny/iter_4.pth", "--work-dir", "on"),
        *(*more, "--no-validate"),
    )
    after = torch.load(project / "on/latest.pth", weights_only=False)
    assert "Iter(train) [5/6]" in output
    assert "Iter(train) [4/6]" not in output
    assert after["meta"]["iter"] == 6
    assert before["meta"]["iter"] == 4
    steps = {float(s["step"]) for s in after["optimizer"]["state"].values()}
    assert steps == {6.0}
    # The schedule went on: the learning rate is that of a run that was never stopped.
    rates = [[g["lr"] for g in c["optimizer"]["param_groups"]] for c in (fresh, after)]
    assert rates[0] == pytest.approx(rates[1])
    for name, expected in fresh["state_dict"].items():
        assert torch.equal(after["state_dict"][name], expected), name


def test_a_resumed_run_with_a_seed_per_process_sees_the_same_images(project):
    arguments = ("tiny.py", "--diff-seed", "--no-validate", "--work-dir")
    run(project, "train.py", *arguments, "apart")
    run(project, "train.py", *arguments, "apart_on", "--resume", "apart/iter_2.pth")
    expected, found = (
        torch.load(project / f"{name}/iter_4.pth", weights_only=False)
        for name in ("apart", "apart_on")
    )
    for name, value in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value), name


def test_resume_without_a_checkpoint_starts_fresh(project):
    arguments = ("--resume", "--work-dir", "empty", "--cfg-options", "train_cfg.max_iters=1")
    output = run(project, "train.py", "tiny.py", *arguments, "--no-validate")
    assert "Iter(train) [1/1]" in output
    assert (project / "empty/latest.pth").is_file()


def test_resume_without_a_checkpoint_starts_from_the_weights_given_for_that(project):
    start = ("--resume", "--load-from", "work_dirs/tiny/latest.pth", "--work-dir", "tuned")
    one = ("--no-validate", "--cfg-options", "train_cfg.max_iters=1")
    output = run(project, "train.py", "tiny.py", *start, *one)
    assert "no checkpoint in" in output and "training starts from work_dirs/tiny" in output
    assert "Iter(train) [1/1]" in output
    output = run(project, "train.py", "tiny.py", *start, *one[:-1], "train_cfg.max_iters=2")
    assert "Iter(train) [2/2]" in output and "Iter(train) [1/2]" not in output


def test_a_checkpoint_without_optimiser_or_schedule_is_not_gone_on_from(project, call):
    (best,) = (project / "work_dirs/tiny").glob("best_mIoU_iter_*.pth")
    message = call("train.py", "tiny.py", "--resume", str(best), "--work-dir", "from_best")
    assert "cannot be resumed, it holds no 'optimizer'; pass it as --load-from" in message
    newest = torch.load(project / "work_dirs/tiny/latest.pth", weights_only=False)
    del newest["param_schedulers"]
    torch.save(newest, project / "unscheduled.pth")
    message = call("train.py", "tiny.py", "--resume", "unscheduled.pth", "--work-dir", "from_best")
    assert "cannot be resumed, it holds no 'param_schedulers'" in message


def test_the_scores_of_each_class_go_to_the_trackers(project):
    curves = read_curves(project / "work_dirs/tiny")
    per_class = [curves[f"IoU/{name}"] for name in ("ground", "roof", "tree")]
    for step, miou in curves["mIoU"].items():
        assert sum(each[step] for each in per_class) / 3 == pytest.approx(miou)
    assert set(curves["lr"]) == {1, 2, 3, 4}


def test_the_log_ends_with_the_best_score_and_the_command_that_tests_it(project):
    work = project / "work_dirs/tiny"
    (log,) = sorted(work.glob("*/*.log"))[:1]
    line = log.read_text().strip().splitlines()[-1]
    found = re.search(r"best mIoU ([\d.]+); test it with: python (tools/test.py .+)", line)
    score, path = found.groups()
    assert float(score) == pytest.approx(max(read_curves(work)["mIoU"].values()), abs=0.01)
    run(project, *path.removeprefix("tools/").split())
    assert "Config:" not in log.read_text() and (work / "tiny.py").is_file()
