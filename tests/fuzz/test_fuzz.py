"""Damaged and hostile inputs of every kind, and what the fuzzer itself promises."""

import ctypes
import struct
from pathlib import Path

import numpy as np
import pytest
from readers import KINDS, Kind
from run import ENDINGS, ending_of, fuzz, main

from mmseg.errors import UserError


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_refused_by_name_or_read_right(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endings = fuzz(kind, count=24, number=1)
    assert set(endings) == ENDINGS, endings


def _refuse(message: str) -> None:
    raise UserError(message.format(path=Path.cwd() / "case.x"))


def _leave(name: str) -> None:
    Path(name).touch()
    _refuse("{path}: broken")


BEHAVIOURS = {
    "right": lambda path: None,
    "refused": lambda path: _refuse("{path}: broken"),
    "a message that does not help": lambda path: _refuse("broken"),
    "a message that does": lambda path: _refuse("{path}: two\nlines"),
    "error: unpack requires": lambda path: struct.unpack("<I", b""),
    "leaves canary": lambda path: _leave("canary"),
    "leaves .a.part": lambda path: _leave(".a.part"),
    "dies of signal 11": lambda path: ctypes.string_at(0),
    "takes": lambda path: np.ones(3 << 27, np.uint8),
    "hangs": lambda path: [None for _ in iter(int, 1)],
}


@pytest.mark.parametrize("ending", BEHAVIOURS)
def test_the_fuzzer_sees_how_a_case_ends(ending, monkeypatch):
    monkeypatch.setattr("run.TIME_LIMIT", 1 if ending == "hangs" else 20)
    monkeypatch.setattr("run.MEMORY_LIMIT", 1 << 18)
    assert ending_of(Kind(".x", [], [], BEHAVIOURS[ending]), b"data").startswith(ending)


def test_a_planted_bug_is_found_and_its_smallest_input_kept(tmp_path, monkeypatch):
    def read(path: Path) -> None:
        struct.unpack_from("<I", path.read_bytes(), 36)  # an error where less than 40 bytes are

    monkeypatch.setitem(KINDS, "planted", lambda: Kind(".bin", [bytes(100)], [], read))
    endings = fuzz("planted", count=80, number=0, keep=tmp_path)
    assert any(ending.startswith("error: unpack_from requires") for ending in endings)
    assert min(path.stat().st_size for path in tmp_path.glob("planted_*.bin")) == 0


def test_a_seed_gives_the_same_inputs_again_and_another_seed_others(monkeypatch):
    seen: list[bytes] = []
    monkeypatch.setattr("run.ending_of", lambda kind, data: seen.append(data) or "right")
    runs = []
    for number in (1, 1, 2):
        fuzz("list", count=40, number=number)
        runs.append(seen.copy())
        seen.clear()
    assert runs[0] == runs[1] != runs[2]
    assert len(runs[0]) == 40


def test_the_command_prints_the_endings_of_each_kind(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    monkeypatch.setattr("sys.argv", ["run.py", "--count", "4", "--kinds", "list"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert capsys.readouterr().out == "list: {'right': 5, 'refused': 6}\n"
