"""Trainings that count in epochs."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS
from tiny_runner import build_runner

from mmseg.engine.loop import in_iterations

WAYS = [
    {"type": "EpochBasedTrainLoop", "max_epochs": 3, "val_interval": 1},
    {"by_epoch": True, "max_epochs": 3},
]
CHECKPOINT = {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": -1}
FALLING = {"type": "PolyLR", "power": 1.0, "eta_min": 0.0, "begin": 0, "end": 3, "by_epoch": True}


@pytest.mark.parametrize("train_cfg", WAYS)
def test_an_epoch_is_a_pass_over_the_data_and_all_intervals_count_in_epochs(tmp_path, train_cfg):
    changes = {"train_cfg": train_cfg, "default_hooks.checkpoint": CHECKPOINT}
    changes = {key: {"_delete_": True, **value} for key, value in changes.items()}
    runner = build_runner(tmp_path, param_scheduler=[FALLING], **changes)
    runner.train()
    length = math.ceil(len(runner.train_dataloader.dataset) / 4)
    assert runner.iter == runner.max_iters == 3 * length
    saved = {path.name for path in Path(runner.work_dir).glob("iter_*.pth")}
    assert saved == {f"iter_{epoch * length}.pth" for epoch in (1, 2, 3)}
    assert runner.optim_wrapper.get_lr()["lr"] == [0.0]


def rates(kind, length=None, **options):
    """The rate of each of 20 iterations; without `length`, epochs of 5 as mmengine counts them."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    config = {"type": kind, **options}
    config = in_iterations(config, length) if length else config
    scheduler = PARAM_SCHEDULERS.build(config, default_args={"optimizer": optimiser})
    found = []
    for step in range(20):
        found.append(optimiser.param_groups[0]["lr"])
        if length or (step + 1) % 5 == 0:
            scheduler.step()
    return found


def test_schedules_have_the_rate_of_each_epoch_at_its_start():
    for options in (
        {"kind": "MultiStepLR", "milestones": [2, 3], "gamma": 0.1},
        {"kind": "ExponentialLR", "gamma": 0.5},
    ):
        assert rates(length=5, **options)[::5] == pytest.approx(rates(**options)[::5])


def test_a_schedule_of_iterations_stays():
    config = {"type": "LinearLR", "by_epoch": False, "end": 7, "start_factor": 0.1}
    assert in_iterations(config, 5) == config
