"""200 damaged and hostile inputs, and what the fuzzer itself promises; run.py has the rest."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kinds import KINDS, Kind
from mutations import BINARY, TEXT, mutate
from run import ENDINGS, cases, fuzz, run_case

from mmseg.errors import UserError

PER_KIND = 200 // len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_is_refused_by_name_or_read_right(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    endings = fuzz(kind, PER_KIND, seed=1)
    assert sum(endings.values()) == PER_KIND
    assert set(endings) == set(ENDINGS), endings


def test_a_seed_gives_the_same_cases_again_and_another_seed_others():
    first, again, other = (list(cases(KINDS["list"], 40, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("mutations", [BINARY, TEXT])
def test_mutations_take_any_bytes_and_change_nearly_all(mutations):
    for data in (b"\0", b"ab", bytes(range(256)) * 4):
        changed = [mutate(np.random.default_rng(i), data, mutations) != data for i in range(100)]
        assert np.mean(changed) > 0.5


def _refuse(path: Path, message: str) -> None:
    raise UserError(message.format(path=path))


def _leave(name: str) -> None:
    Path(name).touch()
    raise UserError(f"{Path.cwd()}/case.x: refused")


def _crash() -> None:
    import ctypes

    ctypes.string_at(0)


BEHAVIOURS = {
    "right": lambda path: None,
    "refused": lambda path: _refuse(path, "{path}: broken"),
    "a message that does not help": lambda path: _refuse(path, "broken"),
    "a message that does": lambda path: _refuse(path, "{path}: two\nlines"),
    "ZeroDivisionError": lambda path: 1 / 0,
    "AssertionError: wrong result": lambda path: _fail(),
    "leaves canary": lambda path: _leave("canary"),
    "leaves .a.part": lambda path: _leave(".a.part"),
    "dies of signal 11": lambda path: _crash(),
    "takes": lambda path: np.ones(3 << 27, np.uint8),
    "hangs": lambda path: [None for _ in iter(int, 1)],
}


def _fail() -> None:
    raise AssertionError("wrong result")


@pytest.mark.parametrize("ending", BEHAVIOURS)
def test_the_fuzzer_sees_how_a_case_ends(ending, monkeypatch):
    monkeypatch.setattr("run.TIME_LIMIT", 1 if ending == "hangs" else 20)
    monkeypatch.setattr("run.MEMORY_LIMIT", 1 << 18)
    kind = Kind(".x", BINARY, list, list, BEHAVIOURS[ending])
    assert run_case(kind, b"data").startswith(ending)


def test_the_command_ends_with_0_and_counts_of_every_kind():
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--count", "4"]
    result = subprocess.run(
        [*command, "--kinds", "list", "mask"], capture_output=True, text=True, check=True
    )
    assert result.stdout.count('"refused": 2') == 2
