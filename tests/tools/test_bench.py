"""tools/bench/speed.py: two sides in one run, and the errors of a comparison that cannot be."""

import json
import re
import runpy
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SPEED = ROOT / "tools/bench/speed.py"
CONFIG = f"""
_base_ = "{ROOT}/local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"
model = dict(
    backbone=dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1)),
    decode_head=dict(in_channels=(16, 24, 32), channels=32, ham_channels=32),
)
test_dataloader = dict(num_workers=0)
"""


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Run the tool in this process, in a folder with `tiny.py`; its workers are processes."""
    (tmp_path / "tiny.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    def run(part: str, *args: str) -> None:
        few = ("--size", "32", "32", "--runs", "1", "--device", "cpu")
        monkeypatch.setattr(sys, "argv", ["speed.py", part, "tiny.py", *few, *args])
        runpy.run_path(str(SPEED), run_name="__main__")

    return run


def test_two_sides_take_turns_and_one_line_has_speed_memory_and_ratio(measure, tmp_path, capsys):
    measure("eval", "--against", str(ROOT), "--threads", "1", "--json", "out/speed.json")
    side = r"[\d.]+ \([\d.]+ to [\d.]+\) ms per image, peak \d+ MiB; "
    ratio = r"this is [\d.]+ \([\d.]+ to [\d.]+\) times as fast; n = 1\n"
    assert re.fullmatch(
        f"eval: this {side}{re.escape(str(ROOT))} {side}{ratio}", capsys.readouterr().out
    )
    sides = json.loads((tmp_path / "out/speed.json").read_text())["sides"]
    assert [len(side["turns"]) for side in sides.values()] == [1, 1]
    assert {side["versions"]["threads"] for side in sides.values()} == {1}


def test_engines_are_compared_in_mapping_a_scene(measure, capsys):
    pytest.importorskip("onnxruntime")
    measure("map", "--engine", "onnxruntime", "--against", "torch", "--scene", "64")
    side = r"[\d.]+ \([\d.]+ to [\d.]+\) ms per scene, peak \d+ MiB; "
    assert re.match(f"map: onnxruntime {side}torch {side}this is ", capsys.readouterr().out)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists the children of a process")
def test_a_turn_beside_a_load_has_as_many_busy_processes_which_end_with_it():
    worker = object.__new__(runpy.run_path(str(SPEED))["Worker"])

    def children() -> int:
        path = Path(f"/proc/self/task/{threading.get_native_id()}/children")
        return len(path.read_text().split())

    before, worker.load, worker.turns = children(), 2, []
    worker.ask = lambda question: children()
    worker.take_turn()
    assert worker.turns == [before + 2]
    assert children() == before


def test_a_side_that_computes_something_else_is_not_timed(measure):
    other = ("--other-options", "model.decode_head.ham_kwargs.MD_R=3")
    with pytest.raises(SystemExit, match=r"^error: .*: its logits are not this code's \(by") as end:
        measure("train", "--against", str(ROOT), *other)
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
    runpy.run_path(str(SPEED))["draw_files"](tmp_path, (40, 72))
    for kind in ("images/*.jpg", "masks/*.png"):
        assert {Image.open(path).size for path in tmp_path.glob(kind)} == {(72, 40)}
