"""A whole measurement of workers that say themselves how long they took."""

import sys
from dataclasses import replace

import pytest
import torch
from mmengine.config import Config

from mmseg.benchmark import run
from mmseg.benchmark.report import check_notes, results_table, version_lines
from mmseg.benchmark.run import OWN_PARTS, Measurement
from mmseg.benchmark.settings import Settings
from mmseg.benchmark.sides import Side
from mmseg.errors import UserError

# Answers with its own seconds, and writes down whose turn it was. No torch: it starts in no time.
WORKER = """
import json, os, shutil, sys
answers = os.fdopen(int(sys.argv[1]), "w", buffering=1)
job = json.loads(sys.stdin.readline())
print(json.dumps({"versions": {"torch": "0", "threads": str(job["threads"])}}), file=answers)
for line in sys.stdin:
    do = json.loads(line)["do"]
    answer = {"seconds": job["seconds"] * job.get("batch", 1), "rss_mb": 100, "peak_rss_mb": 300}
    if do == "forget peak":
        answer = {"rss_mb": 50}
    elif do == "numbers":
        shutil.copy(job["numbers"], job["out"])
    else:
        with open(job["log"], "a") as log:
            log.write(job["letter"])
    if do == "loop":
        answer["waited"] = job["seconds"] / 4
    print(json.dumps(answer), file=answers)
"""


@pytest.fixture
def measurement(tmp_path, tiny_model) -> Measurement:
    (tmp_path / "worker.py").write_text(WORKER)
    numbers = {name: torch.ones(3) for name in ("logits", "loss", "gradients", "classes")}
    torch.save(numbers, tmp_path / "numbers_given.pth")

    def side(name: str, seconds: float, amp: str | None) -> Side:
        job = {"seconds": seconds, "letter": name[0], "log": str(tmp_path / "log"), "amp": amp}
        job |= {"compile": False, "num_classes": 3, "nmf_rank": 4}
        job["numbers"] = str(tmp_path / "numbers_given.pth")
        return Side(name, [sys.executable, "-S", str(tmp_path / "worker.py")], job)

    sides = [side("ours", 0.5, "bf16"), side("peer", 1.5, None), side("peer", 1.0, "bf16")]
    settings = Settings("cpu", threads=2, size=(32, 32), runs=2, warm_up=1)
    return Measurement(sides, settings, Config({"model": tiny_model}), tmp_path)


def test_sides_alternate_in_every_action_and_are_compared(measurement):
    told: list[str] = []
    step, loop = measurement.measure("train", told.append)
    assert told == ["training step, batch 2", "training with its loader, batch 2"]
    # Ours, which takes no more than a second, runs twice in each turn.
    assert (measurement.folder / "log").read_text() == 2 * "ooppppoooopp"
    assert [entry["side"] for entry in step["sides"]] == [
        *("ours, bf16", "peer, float32", "peer, bf16")
    ]
    assert step["sides"][1]["seconds"] == [3.0, 3.0]
    assert [entry["times_as_fast"]["median"] for entry in step["against"]] == [3.0, 2.0]
    assert step["against"][0]["peak_share"] == 1
    assert step["sides"][0]["rss_before_mb"] == 50
    assert loop["sides"][0]["waiting_share"] == 0.125
    assert "waiting_share" not in step["sides"][0]


def test_every_batch_size_is_measured_but_of_files_one(measurement):
    measurement = replace(measurement, settings=replace(measurement.settings, batches=[1, 3]))
    results = [r for part in ("infer", "eval") for r in measurement.measure(part, str)]
    assert [(r["measured"], r["batch"]) for r in results] == [
        *(("network", 1), ("network and class map", 1)),
        *(("network", 3), ("network and class map", 3)),
        *(("evaluation of an image", 1), ("metric of an image", 1)),
    ]
    assert results[2]["sides"][0]["median"] == 1.5


def test_reading_is_measured_on_one_core_and_once_for_each_project(measurement):
    (result,) = measurement.measure("data", str)
    assert [entry["side"] for entry in result["sides"]] == ["ours, bf16", "peer, float32"]
    assert result["sides"][0]["versions"]["threads"] == "1"


@pytest.mark.parametrize("part", OWN_PARTS)
def test_own_code_is_measured_action_by_action(measurement, part, monkeypatch):
    monkeypatch.setattr(run, "REST", 0)
    results = list(measurement.measure(part, str))
    assert [result["measured"] for result in results] == list(OWN_PARTS[part].values())
    assert {(result["batch"], len(result["sides"])) for result in results} == {(2, 3)}


def test_the_sides_are_checked_before(measurement):
    assert measurement.check() == {
        "peer": dict.fromkeys(("logits", "loss", "gradients", "classes"), 0.0)
    }
    other = measurement.folder / "other.pth"
    numbers = torch.load(measurement.folder / "numbers_given.pth")
    torch.save({**numbers, "loss": torch.tensor([1.0, 1.0, 1.1])}, other)
    ours, peer, _ = measurement.sides
    wrong = replace(peer, job={**peer.job, "numbers": str(other)})
    with pytest.raises(UserError, match=r"ours and peer do not .* same.*loss by 9\.1e-02"):
        replace(measurement, sides=[ours, wrong]).check()


def test_the_table_shows_medians_spreads_and_comparisons(measurement):
    results = list(measurement.measure("train", str))
    lines = results_table(results, "title").splitlines()
    assert lines[0] == "title"
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:-1]]
    spread = "1000.00 (1000.00 - 1000.00)"
    assert cells[0] == [
        "training step, batch 2",
        "ours, bf16",
        spread,
        "2.0",
        "300",
        "250",
        "",
        "",
        "",
    ]
    assert cells[1][-2:] == ["x3.00 (3.00 - 3.00)", "1.00"]
    assert cells[3][6] == "12.5%"
    assert version_lines(results)[1] == "peer: torch 0, threads 2"
    assert check_notes({"peer": {"loss": 1e-7}})[0].endswith("differences: loss 1.0e-07")
