"""The training loop: its steps, its draws, and losses that are not finite."""

from pathlib import Path

import pytest
import torch
from tiny_runner import build_runner

from mmseg.engine.loaders import StatelessSampler
from mmseg.errors import UserError

NORM = {"norm": True}


def train(folder, **options):
    runner = build_runner(folder, **options)
    runner.train()
    return runner


def skipping(steps):
    return {"train_cfg.max_skipped_steps": steps}


def test_a_step_that_is_left_out_changes_neither_weights_nor_statistics(tmp_path):
    runner = train(tmp_path, network={**NORM, "bad": (2,)}, **skipping(1))
    assert runner.iter == 4
    assert runner.model.norm.num_batches_tracked == 3
    states = [
        train(tmp_path, work_dir=str(tmp_path / "short"), network=network, **options).model
        for network, options in (
            ({**NORM, "bad": (2,)}, {**skipping(1), "train_cfg.max_iters": 2}),
            (NORM, {"train_cfg.max_iters": 1}),
        )
    ]
    for name, value in states[0].state_dict().items():
        assert torch.equal(states[1].state_dict()[name], value), name
    (log,) = (tmp_path / "work").glob("*/*.log")
    assert "iteration 2: the loss is not finite" in log.read_text() and ".png" in log.read_text()


def test_one_more_than_allowed_ends_the_run(tmp_path):
    runner = build_runner(tmp_path, {"bad": (1, 2)}, **skipping(1))
    before = runner.model.conv.weight.clone()
    runner.model.init_weights()
    with pytest.raises(UserError, match=r"iteration 2: the loss is not finite .*loss nan.*\.png"):
        runner.train()
    kept = torch.load(tmp_path / "work/nonfinite_iter_2_process_0.pth")
    assert kept["state_dict"]["conv.weight"].shape == before.shape
    assert torch.equal(kept["state_dict"]["conv.weight"], runner.model.conv.weight)
    assert len(kept["labels"]) == len(kept["files"]) == 4


def test_the_draws_of_an_iteration_do_not_depend_on_those_before(tmp_path):
    runner = train(tmp_path)
    assert len(set(runner.model.draws)) == 4
    later = build_runner(
        tmp_path, **{"resume": True, "load_from": str(tmp_path / "work/iter_2.pth")}
    )
    later.train()
    assert later.model.draws == runner.model.draws[2:]


def test_each_process_has_draws_of_its_own(tmp_path, monkeypatch):
    draws = []
    for rank in (0, 1):
        monkeypatch.setattr("mmseg.engine.runner.SegRunner.rank", rank)
        draws += train(tmp_path).model.draws
    assert len(set(draws)) == 8


def test_a_finished_run_that_is_resumed_says_so(tmp_path):
    train(tmp_path, log_level="INFO")
    runner = train(tmp_path, log_level="INFO", resume_from_work_dir=True)
    assert runner.model.passes == 0
    texts = [path.read_text() for path in sorted(Path(runner.work_dir).glob("*/*.log"))]
    assert sum("all 4 iterations were done already" in text for text in texts) == 1


def test_a_full_disk_does_not_hide_the_loss_that_is_not_finite(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    runner = build_runner(tmp_path, {"bad": (1,)})
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"iteration 1: the loss is not finite .*loss nan.*\.png"):
        runner.train()


def test_a_sampler_whose_samples_have_no_seed_is_replaced(tmp_path):
    sampler = {"type": "DefaultSampler", "shuffle": False}
    runner = build_runner(tmp_path, **{"train_dataloader.sampler": sampler})
    sampler = runner.train_dataloader.sampler
    assert isinstance(sampler, StatelessSampler)
    assert not sampler.shuffle


def test_a_sampler_with_an_end_is_passed_over_again_from_where_the_run_is(tmp_path):
    def finite(size):
        loader = torch.utils.data.DataLoader(range(size), batch_size=2)
        loop = runner.build_train_loop(runner._train_loop)
        loop.dataloader = loader
        return loop

    runner = build_runner(tmp_path)
    loop = finite(4)
    loop.iter = 3
    batches = loop._batches()
    assert [next(batches).tolist() for _ in range(3)] == [[2, 3], [0, 1], [2, 3]]
