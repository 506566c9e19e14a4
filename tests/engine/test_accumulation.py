"""`train_cfg.accumulate`: a batch in parts makes the step of the whole batch."""

import os

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook
from tiny_project import write_project
from tiny_runner import build_runner, loss_of
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from mmseg.engine.loop import split_batch
from mmseg.errors import UserError
from mmseg.structures import SegDataSample

MOMENTUM = {"type": "SGD", "lr": 0.5, "momentum": 0.9}
CLIPPED = {"type": "OptimWrapper", "optimizer": MOMENTUM, "clip_grad": {"max_norm": 0.01}}


def train(folder, name, parts, network=None, **options):
    changes = {"train_cfg.accumulate": parts, "work_dir": str(folder / name), **options}
    runner = build_runner(folder, network, **changes)
    runner.train()
    return runner


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_train_as_the_batch_does(tmp_path, parts):
    """Also with clipped gradients, a schedule and averaged weights."""
    options = {"optim_wrapper": CLIPPED, "custom_hooks": [{"type": "EMAHook", "momentum": 0.3}]}
    whole, split = (train(tmp_path, f"{n}", n, **options) for n in (1, parts))
    assert (whole.model.passes, split.model.passes) == (4, 4 * parts)
    assert whole.iter == split.iter == 4
    torch.testing.assert_close(split.model.state_dict(), whole.model.state_dict())
    averages = [
        next(hook for hook in runner.hooks if isinstance(hook, EMAHook)).ema_model.state_dict()
        for runner in (split, whole)
    ]
    torch.testing.assert_close(*averages)
    assert split.optim_wrapper.get_lr() == whole.optim_wrapper.get_lr()


@pytest.mark.parametrize("counts", [1, 2])
def test_parts_of_a_batch_train_as_a_loop_in_plain_torch(tmp_path, counts):
    """With mmengine's accumulation too, which keeps its meaning: a step in `counts` iterations."""
    options = {"optim_wrapper.accumulative_counts": counts, "param_scheduler": None}
    conv = train(tmp_path, "run", 2, **options).model.conv
    reference = build_runner(tmp_path, work_dir=str(tmp_path / "reference"))
    reference.model.init_weights()
    expected = reference.model.conv
    optimiser = torch.optim.SGD(expected.parameters(), lr=0.5)
    for iteration, batch in zip(range(4), reference.train_dataloader, strict=False):
        loss = loss_of(expected(batch["inputs"] / 255), batch["labels"]) / counts
        loss.backward()
        if (iteration + 1) % counts == 0:
            optimiser.step()
            optimiser.zero_grad()
    torch.testing.assert_close(conv.state_dict(), expected.state_dict())


def test_a_skipped_part_leaves_the_whole_batch_out(tmp_path):
    options = {"train_cfg.max_skipped_steps": 1}
    # The second batch: as one, and in its second part after the gradient of the first one is there.
    whole = train(tmp_path, "whole", 1, {"bad": (2,)}, **options)
    split = train(tmp_path, "split", 2, {"bad": (4,)}, **options)
    torch.testing.assert_close(split.model.state_dict(), whole.model.state_dict())
    assert split.message_hub.get_info("skipped_steps") == 1


@pytest.mark.parametrize("step", [2, 3])
def test_a_run_in_parts_is_resumed_in_the_same_bits(tmp_path, step):
    options = {"optim_wrapper.optimizer": MOMENTUM, "default_hooks.checkpoint.interval": 1}
    network = {"norm": True}
    whole = train(tmp_path, "whole", 2, network, **options)
    start = {"resume": True, "load_from": str(tmp_path / f"whole/iter_{step}.pth")}
    resumed = train(tmp_path, "on", 2, network, **options, **start)
    assert resumed.model.passes == 2 * (4 - step)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_parts_that_do_not_divide_the_batch_are_refused(tmp_path):
    runner = build_runner(tmp_path, **{"train_cfg.accumulate": 3})
    with pytest.raises(UserError, match=r"accumulate=3 does not divide .*batch_size=4"):
        runner.train()
    with pytest.raises(UserError, match=r"accumulate=3 does not divide a batch of 4 images"):
        split_batch({"inputs": torch.zeros(4, 3, 2, 2)}, 3)


def test_skipped_steps_and_mmengines_accumulation_are_refused(tmp_path):
    options = {"train_cfg.max_skipped_steps": 1, "optim_wrapper.accumulative_counts": 2}
    runner = build_runner(tmp_path, **options)
    with pytest.raises(UserError, match=r"use train_cfg\.accumulate"):
        runner.train()


def test_a_batch_as_mmengine_collates_it_is_split(tiny_model):
    samples = [
        {"inputs": torch.full((3, 2, 2), i), "data_samples": SegDataSample(metainfo={"id": i})}
        for i in range(4)
    ]
    first, second = split_batch(pseudo_collate(samples), 2)
    assert [int(image[0, 0, 0]) for image in second["inputs"]] == [2, 3]
    assert [sample.id for sample in first["data_samples"]] == [0, 1]


def train_in_a_group(rank, folder, project, parts):
    os.environ["LOCAL_RANK"] = str(rank)
    exchanges = []
    runner = build_runner(
        project, launcher="pytorch", work_dir=str(folder), **{"train_cfg.accumulate": parts}
    )

    def exchange(group, bucket):
        exchanges.append(bucket)
        return allreduce_hook(group, bucket)

    runner.model.register_comm_hook(None, exchange)
    runner.train()
    return runner.model.module.passes, len(exchanges), runner.model.module.state_dict()


def test_processes_exchange_gradients_once_in_a_batch(tmp_path, in_two_processes):
    write_project(tmp_path)
    (_, once, whole), _ = in_two_processes(train_in_a_group, tmp_path / "1", tmp_path, 1)
    (passes, exchanges, split), (_, _, other) = in_two_processes(
        train_in_a_group, tmp_path / "2", tmp_path, 2
    )
    assert passes == 8 and exchanges == once > 0
    torch.testing.assert_close(split, whole)
    torch.testing.assert_close(split, other, rtol=0, atol=0)
    logs = "".join(path.read_text() for path in (tmp_path / "1").glob("*/*.log"))
    assert logs.count("2 processes without GPUs: each has batch norm statistics of its own") == 1
