"""From which file a run goes on, and from which it does not."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg.checkpoints.files import read_checkpoint
from mmseg.checkpoints.seal import seal
from mmseg.engine.resume import check_same_training, newest_whole, training_facts
from mmseg.errors import UserError


def write(folder: Path, step: int) -> Path:
    path = folder / f"iter_{step}.pth"
    torch.save({"meta": {"iter": step}, "state_dict": {"weight": torch.arange(4000.0)}}, path)
    seal(path)
    return path


def test_a_sealed_file_is_read_by_torch_as_any_other(tmp_path):
    path = write(tmp_path, 1)
    assert torch.equal(torch.load(path)["state_dict"]["weight"], torch.arange(4000.0))
    assert torch.equal(torch.load(path, mmap=True)["state_dict"]["weight"], torch.arange(4000.0))


def test_a_bit_flipped_anywhere_is_noticed(tmp_path):
    path = write(tmp_path, 1)
    content = path.read_bytes()
    for place in range(0, len(content) - 72, 397):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"iter_1\.pth.*digest stored in it"):
            read_checkpoint(path)


def test_a_file_cut_at_any_byte_is_noticed(tmp_path):
    path = write(tmp_path, 1)
    content = path.read_bytes()
    for size in (*range(0, len(content), 971), *range(len(content) - 100, len(content))):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match=r"iter_1\.pth"):
            read_checkpoint(path)


def test_writing_notices_what_the_disk_changed(tmp_path, monkeypatch):
    path = tmp_path / "x.pth"
    torch.save({"weight": torch.zeros(1000)}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="on the disk is not what was written"):
        seal(path)


def test_the_newest_whole_checkpoint_is_taken_and_a_damaged_one_named(tmp_path, warnings):
    paths = [write(tmp_path, step) for step in (2, 4, 10)]
    (tmp_path / "latest.pth").symlink_to("iter_10.pth")
    assert newest_whole(tmp_path) == paths[2]
    paths[2].write_bytes(paths[2].read_bytes()[:-500])
    assert newest_whole(tmp_path) == paths[1]
    assert len(warnings) == 1 and "iter_10.pth: cannot be read" in warnings[0]


def test_files_after_the_linked_one_belong_to_an_earlier_run(tmp_path):
    paths = [write(tmp_path, step) for step in (4, 90)]
    (tmp_path / "latest.pth").symlink_to("iter_4.pth")
    assert newest_whole(tmp_path) == paths[0]


def test_without_a_link_the_highest_number_counts_and_without_a_file_nothing(tmp_path):
    assert newest_whole(tmp_path) is None
    paths = [write(tmp_path, step) for step in (9, 10)]
    assert newest_whole(tmp_path) == paths[1]


CONFIG = {
    "model": {"backbone": {"depths": (1, 2), "init_cfg": {"checkpoint": "a.pth"}}},
    "optim_wrapper": {"optimizer": {"lr": 0.1}},
    "train_dataloader": {"batch_size": 4, "num_workers": 0, "dataset": {"data_root": "here"}},
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
        {"train_dataloader.dataset.data_root": "there"},
        {"train_cfg.max_iters": 20},
        {"model.backbone.init_cfg": None},
        {"randomness.seed": None},
        {"randomness.diff_rank_seed": False},
    ],
)
def test_what_does_not_change_a_step_may_differ(changes):
    check_same_training(facts(), facts(**changes), "x.pth")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_dataloader.batch_size": 2}, r"train_dataloader\.batch_size: 4 there, 2 here"),
        ({"model.backbone.depths": (1, 3)}, r"model\.backbone\.depths: \[1, 2\] there, \[1, 3\]"),
        ({"optim_wrapper.clip": 1}, r"optim_wrapper\.clip: not set there, 1 here"),
        ({"randomness.seed": 5}, r"seed: 0 there, 5 here"),
        ({"randomness.diff_rank_seed": True}, r"diff_rank_seed: not set there, True here"),
        ({"processes": 2}, r"processes: 1 there, 2 here"),
    ],
)
def test_another_training_is_refused_with_what_differs(changes, message):
    with pytest.raises(UserError, match=rf"x\.pth: belongs to another training \({message}"):
        check_same_training(facts(), facts(**changes), "x.pth")
