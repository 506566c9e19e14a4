"""tools/bench/speed.py: two sides in one run, and the errors of a comparison that cannot be."""

import re
import sys
from pathlib import Path

import pytest
import speed
import worker
from PIL import Image

from mmseg.errors import UserError

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


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Run the tool in this process, in a folder with `tiny.py`; its workers are processes."""
    (tmp_path / "tiny.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "WARM_UP", 0)

    def run(part: str, *args: str) -> None:
        few = ("--size", "32", "32", "--runs", "1", "--device", "cpu")
        monkeypatch.setattr(sys, "argv", ["speed.py", part, "tiny.py", *few, *args])
        speed.main()

    return run


@pytest.fixture
def here(monkeypatch):
    """Run the sides in this process, which saves the seconds of their imports."""
    monkeypatch.setattr(speed, "side", lambda job: worker.answers(job, iter(dict, None)))


def test_a_side_is_a_process_of_its_own(measure, capsys):
    measure("infer")
    line = rf"infer: this {NUMBERS} ms, peak \d+ MiB; n = 1\n"
    assert re.fullmatch(line, capsys.readouterr().out)


def test_two_sides_take_turns_and_one_line_has_speed_memory_and_ratio(measure, here, capsys):
    measure("eval", "--against", str(ROOT))
    side = f"{NUMBERS} ms per image, peak \\d+ MiB; "
    line = f"eval: this {side}{re.escape(str(ROOT))} {side}this is {NUMBERS} times as fast; n = 1\n"
    last = capsys.readouterr().out.splitlines(keepends=True)[-1]  # sides of this process log, too
    assert re.fullmatch(line, last)


def test_a_scene_is_mapped(measure, here, capsys, monkeypatch):
    monkeypatch.setattr(speed, "SCENE", 64)
    measure("map")
    assert re.match(rf"map: this {NUMBERS} ms per scene, ", capsys.readouterr().out)


def test_a_side_that_computes_something_else_is_not_timed(measure, here, monkeypatch):
    make = speed.make_sides
    other = {"options": {"model.decode_head.ham_kwargs.MD_R": 3}}
    monkeypatch.setattr(speed, "make_sides", lambda args: [make(args)[0], make(args)[1] | other])
    with pytest.raises(ValueError, match=r"^its logits are not this code's \(by"):
        measure("infer", "--against", str(ROOT))


def test_a_process_that_ends_is_one_line():
    with pytest.raises(UserError, match=r"^this: the process ended$"):
        next(speed.side(speed.JOB | {"python": "true"}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--against", "onedl"), "error: onedl needs a config of 512x512.ade.160k"),
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
