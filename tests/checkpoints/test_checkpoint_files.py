"""A checkpoint file is read whole and unchanged, or refused."""

import errno
import os
import pickle
import zipfile
from collections import OrderedDict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from torch import nn

from mmseg.checkpoints.files import read_checkpoint, write_pickle
from mmseg.errors import UserError

CONTENT = {"meta": {"iter": 1, "classes": ["a"]}, "state_dict": {"weight": torch.arange(4000.0)}}


@pytest.fixture
def path(tmp_path) -> Path:
    write_pickle(tmp_path / "x.pth", CONTENT)
    return tmp_path / "x.pth"


def read_or_refused(path: Path) -> bool:
    """Return whether the file is refused; if not, it holds what was written."""
    try:
        found = read_checkpoint(path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ")
        return True
    assert found["meta"] == CONTENT["meta"]
    assert torch.equal(found["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    return False


def test_a_bit_flipped_anywhere_changes_nothing_or_is_refused(path):
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    # Most bytes are weights. The ends hold the names, sizes and sums of the archive's members.
    places = [*range(0, 1200, 7), *range(1200, start, 397), *range(start - 300, len(whole), 3)]
    weights = CONTENT["state_dict"]["weight"].numpy().tobytes()
    first = whole.index(weights)
    of_weights = range(first, first + len(weights))
    for place in (*places, of_weights[0], of_weights[-1]):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert read_or_refused(path) or place not in of_weights, place


def test_a_file_cut_at_any_byte_is_refused(path):
    whole = path.read_bytes()
    for size in (*range(0, len(whole), 971), *range(len(whole) - 100, len(whole))):
        path.write_bytes(whole[:size])
        assert read_or_refused(path), size


def test_a_sealed_file_of_an_earlier_version_is_read(path):
    """The archive's comment held the sha256 of all bytes before it."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"sha256:" + b"0" * 64
    assert not read_or_refused(path)


def test_writing_notices_what_the_disk_changed(tmp_path, monkeypatch):
    def write_and_change(self, data):
        changed = bytearray(data)
        changed[len(changed) // 2] ^= 1
        with self.open("wb") as file:
            file.write(changed)

    monkeypatch.setattr(Path, "write_bytes", write_and_change)
    with pytest.raises(UserError, match="on the disk is not what was written"):
        write_pickle(tmp_path / "x.pth", CONTENT)
    assert not list(tmp_path.iterdir())


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "x.pth").write_bytes(b"")
    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(UserError) as error:
        read_checkpoint(tmp_path / "x.pth")
    assert str(error.value) == f"{tmp_path}/x.pth: cannot be read (Permission denied)"


def test_a_compressed_checkpoint_is_refused_before_it_expands(path):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match="its members are compressed"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such checkpoint"),
        *(([1, 2, 3], "holds no weights"), (torch.zeros(3), "holds no weights")),
        ({"state_dict": None}, "holds no weights"),
        ({"state_dict": {"x": torch.zeros(2), "a": 3}}, "holds no weights; those are named"),
        ({"state_dict": {"x": torch.zeros(2), 1: torch.zeros(2)}}, "holds no weights"),
    ],
)
def test_a_file_that_is_not_there_or_without_weights_is_named(tmp_path, content, message):
    path = tmp_path / "x.pth"
    if content is not None:
        torch.save(content, path)
    with pytest.raises(UserError) as error:
        read_checkpoint(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_metadata_of_real_checkpoints_is_read(tmp_path):
    buffer = HistoryBuffer()
    buffer.update(0.5)
    meta = {
        "best": np.float64(41.1),
        "array": np.arange(3, dtype=np.uint16),
        "flag": np.bool_(True),
        "classes": ("a", "b"),
        "buffers": OrderedDict(loss=buffer),
    }
    torch.save({"state_dict": {}, "meta": meta}, tmp_path / "x.pth")
    result = read_checkpoint(tmp_path / "x.pth")["meta"]
    assert result["best"] == 41.1
    assert result["array"].tolist() == [0, 1, 2]
    assert result["buffers"]["loss"].current() == 0.5


def test_scalars_pickled_by_numpy_1_are_read(tmp_path):
    torch.save({"state_dict": {}, "meta": {"best": np.float32(0.25)}}, tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "new.pth") as new:
        members = {name: new.read(name) for name in new.namelist()}
    with zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for name, content in members.items():
            old.writestr(name, content.replace(b"numpy._core", b"numpy.core"))
    assert read_checkpoint(tmp_path / "old.pth")["meta"]["best"] == 0.25


def test_getattr_reaches_nothing_but_the_statistics_of_a_buffer(tmp_path):
    class Reach:
        def __reduce__(self):
            return getattr, (HistoryBuffer, "__init__")

    torch.save({"extra": Reach()}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="nothing in it was run"):
        read_checkpoint(tmp_path / "x.pth")


class MakesAFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "save",
    [
        torch.save,
        partial(torch.save, _use_new_zipfile_serialization=False),
        lambda content, path: path.write_bytes(pickle.dumps(content)),
    ],
    ids=["zip", "legacy", "plain pickle"],
)
def test_code_in_a_file_does_not_run(path, tmp_path, save):
    """Neither for a run nor for a user's own backbone, as a tutorial of mmengine has one."""
    save({**CONTENT, "extra": MakesAFolder(tmp_path / "ran")}, path)
    for read in (read_checkpoint, lambda path: OwnBackbone(path).init_weights()):
        with pytest.raises(UserError, match="nothing in it was run"):
            read(path)
    assert not (tmp_path / "ran").exists()


class OwnBackbone(BaseModule):
    def __init__(self, checkpoint):
        super().__init__(init_cfg={"type": "Pretrained", "checkpoint": str(checkpoint)})
        self.conv = nn.Conv2d(3, 2, 1)


def test_the_weights_of_a_pretrained_file_are_loaded_or_refused(path):
    own, weight = OwnBackbone(path), torch.ones(2, 3, 1, 1)
    torch.save({"conv.weight": weight, "conv.bias": torch.zeros(2)}, path)
    own.init_weights()
    assert torch.equal(own.conv.weight, weight)
    torch.save({"conv.weight": weight}, path)
    with pytest.raises(UserError, match=r"1 of 2 tensors fit, .*conv\.bias"):
        OwnBackbone(path).init_weights()
