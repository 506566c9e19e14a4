"""tools/bench/speed.py: two sides in one run, and the errors of a comparison that cannot be."""

import json
import multiprocessing
import os
import re
import runpy
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import speed
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
NUMBERS = r"[\d.]+ \([\d.]+ to [\d.]+\)"
CONFIG = f"""
_base_ = "{ROOT}/local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"
model = dict(
    backbone=dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1)),
    decode_head=dict(in_channels=(16, 24, 32), channels=32, ham_channels=32),
)
test_dataloader = dict(num_workers=0)
"""


class ForkedWorker:
    """What Popen gives, but forked from a process that has imported torch."""

    def __init__(self, command, env, **_):
        self.folder = tempfile.TemporaryDirectory()
        pipes = [os.path.join(self.folder.name, name) for name in ("questions", "answers")]
        for pipe in pipes:
            os.mkfifo(pipe)
        context = multiprocessing.get_context("forkserver")
        self.process = context.Process(target=be_worker, args=(command[-1], env, pipes))
        self.process.start()
        self.stdin = os.fdopen(os.open(pipes[0], os.O_WRONLY), "w", 1)
        self.stdout = os.fdopen(os.open(pipes[1], os.O_RDONLY))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stdin.close()
        self.process.join()
        self.stdout.close()


def be_worker(program, env, pipes):
    os.environ.update(env)
    torch.set_num_threads(int(env["OMP_NUM_THREADS"]))
    for stream, (pipe, mode) in enumerate(zip(pipes, (os.O_RDONLY, os.O_WRONLY), strict=True)):
        os.dup2(os.open(pipe, mode), stream)
    sys.stdin = os.fdopen(0)
    runpy.run_path(program, run_name="__main__")


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Run the tool in this process, in a folder with `tiny.py`; its workers are processes."""
    (tmp_path / "tiny.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "WARM_UP", 0)

    def run(part: str, *args: str) -> None:
        few = ("--size", "32", "32", "--runs", "1", "--device", "cpu", "--threads", "1")
        monkeypatch.setattr(sys, "argv", ["speed.py", part, "tiny.py", *few, *args])
        speed.main()

    return run


@pytest.fixture
def forked(monkeypatch):
    """Fork the workers, which saves the seconds of their imports."""
    monkeypatch.setattr(speed, "Popen", ForkedWorker)


def test_a_side_is_a_process_with_its_own_threads(measure, tmp_path, capsys):
    measure("infer", "--json", "out/speed.json")
    assert re.fullmatch(
        rf"infer: this {NUMBERS} ms, peak \d+ MiB; n = 1\n", capsys.readouterr().out
    )
    sides = json.loads((tmp_path / "out/speed.json").read_text())["sides"]
    assert sides["this"]["versions"]["threads"] == 1


def test_two_sides_take_turns_and_one_line_has_speed_memory_and_ratio(
    measure, forked, tmp_path, capsys
):
    measure("eval", "--against", str(ROOT), "--json", "out/speed.json")
    side = f"{NUMBERS} ms per image, peak \\d+ MiB; "
    line = f"eval: this {side}{re.escape(str(ROOT))} {side}this is {NUMBERS} times as fast; n = 1\n"
    assert re.fullmatch(line, capsys.readouterr().out)
    sides = json.loads((tmp_path / "out/speed.json").read_text())["sides"]
    assert [len(side["turns"]) for side in sides.values()] == [1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists the children of a process")
def test_a_turn_beside_a_load_has_as_many_busy_processes_which_end_with_it():
    worker = object.__new__(speed.Worker)

    def children() -> int:
        path = Path(f"/proc/self/task/{threading.get_native_id()}/children")
        return len(path.read_text().split())

    before, worker.load, worker.turns = children(), 2, []
    worker.ask = lambda question: children()
    worker.take_turn()
    assert worker.turns == [before + 2]
    assert children() == before


def test_a_side_that_computes_something_else_is_not_timed(measure, forked):
    other = ("--other-options", "model.decode_head.ham_kwargs.MD_R=3")
    with pytest.raises(SystemExit, match=r"^error: .*: its logits are not this code's \(by") as end:
        measure("infer", "--against", str(ROOT), *other)
    assert "\n" not in str(end.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--against", "onedl"), "error: --against onedl: give a config of 512x512.ade.160k"),
        (("--against", "nowhere"), "error: --against nowhere: there is no mmseg in it"),
        (("--runs", "0"), "error: --runs and --batch start at 1"),
    ],
)
def test_a_comparison_that_cannot_be_ends_with_one_line(measure, arguments, message):
    with pytest.raises(SystemExit, match=message) as end:
        measure("infer", *arguments)
    assert "\n" not in str(end.value)


def test_drawn_files_have_the_size_that_is_asked_for(tmp_path):
    speed.draw_files(tmp_path, (40, 72))
    for kind in ("images/*.jpg", "masks/*.png"):
        assert {Image.open(path).size for path in tmp_path.glob(kind)} == {(72, 40)}
