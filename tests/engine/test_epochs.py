"""Trainings that count in epochs."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.optim.scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolyLR,
)
from tiny_runner import build_runner

from mmseg.engine.epochs import in_iterations

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


def rates(steps, build, per_epoch=1):
    """The rate of each of `steps` iterations; a scheduler of epochs steps once in `per_epoch`."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = build(optimiser)
    found = []
    for step in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        if (step + 1) % per_epoch == 0:
            scheduler.step()
    return found


def ours(kind, options):
    config = in_iterations({"type": kind.__name__, **options}, 5)
    config.pop("type")
    return rates(20, lambda optimiser: kind(optimiser, **config))


@pytest.mark.parametrize("kind, options", [(MultiStepLR, {"milestones": [2, 3], "gamma": 0.1})])
def test_a_schedule_of_steps_keeps_its_rates(kind, options):
    theirs = rates(20, lambda optimiser: kind(optimiser, **options), per_epoch=5)
    assert ours(kind, options) == pytest.approx(theirs)


def test_an_exponential_schedule_has_the_rate_of_each_epoch_at_its_start():
    assert ours(ExponentialLR, {"gamma": 0.5})[::5] == pytest.approx([1, 0.5, 0.25, 0.125])


@pytest.mark.parametrize(
    "kind, options",
    [
        (PolyLR, {"power": 0.9, "eta_min": 0.0, "begin": 1, "end": 4}),
        (CosineAnnealingLR, {"T_max": 4, "end": 4}),
        (LinearLR, {"start_factor": 0.1, "end": 2}),
    ],
)
def test_a_smooth_schedule_is_that_of_mmengines_convert_to_iter_based(kind, options):
    theirs = rates(20, lambda each: kind.build_iter_from_epoch(each, epoch_length=5, **options))
    assert ours(kind, options) == pytest.approx(theirs)


def test_a_schedule_of_iterations_stays():
    config = {"type": "LinearLR", "by_epoch": False, "end": 7, "start_factor": 0.1}
    assert in_iterations(config, 5) == config
