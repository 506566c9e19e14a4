"""tools/benchmark.py on a tiny network: its JSON, its table and its errors."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = "{root}/local_configs/segnext/tiny/segnext.tiny.512x512.ade.160k.py"
model = dict(
    backbone=dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1)),
    decode_head=dict(in_channels=(16, 24, 32), channels=32, ham_channels=32),
)
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run the tool in this process, in a folder with `tiny.py`."""
    (tmp_path / "tiny.py").write_text(CONFIG.format(root=ROOT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "tools"))

    def call(*args: str) -> None:
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *args])
        runpy.run_path(str(ROOT / "tools/benchmark.py"), run_name="__main__")

    return call


def test_a_network_is_measured_in_a_process_of_its_own(call, tmp_path, capsys):
    few = ("--size", "64", "64", "--runs", "2", "--batch", "3", "--device", "cpu")
    call("infer", "tiny.py", *few, "--json", "out/speed.json")
    output = capsys.readouterr().out
    found = json.loads((tmp_path / "out/speed.json").read_text())
    assert {"settings", "notes", "check", "command", "config", "results"} == set(found)
    assert found["settings"]["size"] == [64, 64]
    assert found["settings"]["device_name"]
    result, classes = found["results"]
    assert classes["measured"] == "network and class map"
    assert (result["part"], result["batch"]) == ("infer", 3)
    (side,) = result["sides"]
    assert side["side"] == "ours, float32"
    assert len(side["seconds"]) == 2
    assert 0 < side["p20"] <= side["median"] <= side["p80"] < 10
    assert side["rss_before_mb"] < side["peak_rss_mb"]
    assert side["versions"]["segnext"]
    assert result["against"] == []
    assert re.search(r"network, batch 3 +\| ours, float32", output)
    assert "2 alternating runs after 2" in output


def test_only_own_code_is_measured_one_by_one(call):
    with pytest.raises(SystemExit, match="error: ops measures this project's own code"):
        call("ops", "tiny.py", "--against", "onedl")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--against", "onedl"), "error: --against onedl: name the python"),
        (("--against", "other.py"), "error: other.py: no such config"),
        (("--runs", "0"), "error: --runs and --batch start at 1"),
        (("--device", "cuda:64"), "error: device cuda:64: torch sees"),
    ],
)
def test_a_comparison_that_cannot_be_ends_with_one_line(call, arguments, message):
    with pytest.raises(SystemExit, match=message) as error:
        call("infer", "tiny.py", *arguments)
    assert "\n" not in str(error.value)
