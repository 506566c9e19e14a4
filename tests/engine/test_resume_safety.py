"""Resuming a run executes nothing that a checkpoint holds."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from mmseg.engine import SegRunner
from mmseg.errors import UserError
from mmseg.registry import MODELS


@pytest.fixture
def runner(tiny_model, folder_config, tmp_path):
    """A runner that is about to train one iteration."""
    steps = ["LoadImageFromFile", "LoadAnnotations", "PackSegInputs"]
    folder_config["pipeline"] = [{"type": step} for step in steps]
    loader = {
        "batch_size": 2,
        "sampler": {"type": "InfiniteSampler", "shuffle": False},
        "dataset": folder_config,
    }
    return SegRunner.from_cfg(
        Config(
            {
                "model": tiny_model,
                "work_dir": str(tmp_path / "work"),
                "train_dataloader": loader,
                "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 1},
                "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}},
                "default_scope": "mmseg",
                "experiment_name": tmp_path.name,
            }
        )
    )


def test_the_text_of_a_config_in_a_checkpoint_is_never_run(runner, tmp_path):
    text = f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n"
    meta = {"iter": 1, "epoch": 0, "config": text, "nmf_rank": 4}
    torch.save({"state_dict": runner.model.state_dict(), "meta": meta}, tmp_path / "x.pth")
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    with pytest.raises(UserError, match="--load-from"):  # it has no message_hub to go on with
        runner.resume(str(tmp_path / "x.pth"), resume_optimizer=False)
    assert not (tmp_path / "ran").exists()


def test_mmengines_own_loader_reads_our_files_safely(tiny_model, tmp_path):
    source, target = MODELS.build(tiny_model), MODELS.build(tiny_model)
    torch.save(source.state_dict(), tmp_path / "x.pth")
    load_checkpoint(target, str(tmp_path / "x.pth"), strict=True)
    expected = source.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in target.state_dict().items())
