"""The training loop where a loss is not finite."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import IterBasedTrainLoop
from torch import nn

from mmseg.engine.loop import SegTrainLoop
from mmseg.engine.runner import SegRunner
from mmseg.engine.sampler import StatelessSampler
from mmseg.errors import NonFiniteLoss, UserError

BATCH = {
    "inputs": [torch.zeros(3, 2, 2)],
    "data_samples": [
        SimpleNamespace(
            metainfo={"img_path": "a.jpg"}, gt_sem_seg=SimpleNamespace(data=torch.ones(1, 2, 2))
        )
    ],
}


class Model(nn.Module):
    """Batch norm whose loss is NaN in the iterations of `bad`; a step adds one to the weight."""

    def __init__(self, bad):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.bad, self.calls, self.draws = bad, 0, []

    def train_step(self, data, optim_wrapper):
        self.calls += 1
        self.draws.append(float(torch.rand(())))
        self.norm(torch.full((2, 1), float("nan") if self.calls in self.bad else 1.0))
        if self.calls in self.bad:
            raise NonFiniteLoss({"loss": float("nan")})
        with torch.no_grad():
            self.norm.weight += 1


def make_loop(tmp_path, bad=(), limit=0, iteration=0):
    loop = SegTrainLoop.__new__(SegTrainLoop)
    loop.max_skipped_steps, loop._iter = limit, iteration
    loop._runner = SimpleNamespace(
        model=Model(bad),
        seed=0,
        rank=0,
        work_dir=str(tmp_path),
        optim_wrapper=None,
        logger=logging.getLogger(),
        message_hub=MessageHub.get_instance(str(tmp_path)),
        call_hook=lambda *_, **__: None,
    )
    return loop


def test_a_step_that_is_left_out_changes_neither_weights_nor_statistics(tmp_path, caplog):
    loop = make_loop(tmp_path, bad=(2,), limit=1)
    for _ in range(3):
        loop.run_iter(BATCH)
    norm = loop.runner.model.norm
    assert loop.iter == 3
    assert norm.weight.item() == 3.0  # 1 and two steps
    assert norm.num_batches_tracked == 2 and norm.running_mean.isfinite()
    assert "iteration 2" in caplog.text and "a.jpg" in caplog.text


def test_one_more_than_allowed_ends_the_run(tmp_path):
    loop = make_loop(tmp_path, bad=(1, 2), limit=1)
    loop.run_iter(BATCH)
    with pytest.raises(UserError, match=r"iteration 2: the loss is not finite .*loss nan.*a\.jpg"):
        loop.run_iter(BATCH)
    kept = torch.load(tmp_path / "nonfinite_iter_2_process_0.pth")
    assert kept["state_dict"]["norm.weight"].item() == 1.0


def test_the_draws_of_an_iteration_do_not_depend_on_those_before(tmp_path):
    loop = make_loop(tmp_path)
    for _ in range(4):
        loop.run_iter(BATCH)
    later = make_loop(tmp_path, iteration=3)
    torch.rand(7)
    later.run_iter(BATCH)
    assert later.runner.model.draws == loop.runner.model.draws[3:]
    assert len(set(loop.runner.model.draws)) == 4


def test_steps_left_out_and_accumulation_are_refused_before_the_first_iteration(tmp_path):
    loop = make_loop(tmp_path, limit=1)
    loop.runner.optim_wrapper = SimpleNamespace(_accumulative_counts=2)
    with pytest.raises(UserError, match="max_skipped_steps does not go with --accumulate"):
        loop.run()
    assert loop.runner.model.calls == 0


def test_a_finished_run_that_is_resumed_says_so(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(IterBasedTrainLoop, "run", lambda self: "the model")
    caplog.set_level(logging.INFO)
    for iteration in (3, 4):
        loop = make_loop(tmp_path, iteration=iteration)
        loop._max_iters = 4
        assert loop.run() == "the model"
        assert ("all 4 iterations were done already" in caplog.text) == (iteration == 4)


def test_a_full_disk_does_not_hide_what_is_wrong_with_the_loss(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"iteration 1: the loss is not finite .*loss nan.*a\.jpg"):
        make_loop(tmp_path, bad=(1,)).run_iter(BATCH)


def test_a_sampler_whose_samples_have_no_seed_is_replaced(folder_config):
    pipeline = [
        {"type": name} for name in ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs")
    ]
    loader = {
        "dataset": {**folder_config, "pipeline": pipeline},
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 1,
    }
    runner = SimpleNamespace(
        seed=3,
        build_dataloader=SegRunner.build_dataloader,
        _randomness_cfg={},
        visualizer=SimpleNamespace(),
    )
    sampler = SegTrainLoop(runner, loader, max_iters=2).dataloader.sampler
    assert isinstance(sampler, StatelessSampler)
    assert not sampler.shuffle


def test_each_process_has_draws_of_its_own(tmp_path):
    loops = [make_loop(tmp_path) for _ in range(2)]
    for rank, loop in enumerate(loops):
        loop.runner.rank = rank
        loop.run_iter(BATCH)
    assert loops[0].runner.model.draws != loops[1].runner.model.draws
