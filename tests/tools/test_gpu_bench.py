"""tools/bench/gpu.py without a GPU: every stage at tiny sizes, failures, and the verdicts."""

import json
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import gpu
import gpu_stages
import pytest
import worker

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "tools/bench"


def run(out: Path, *flags: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "ignore", str(BENCH / "gpu.py"), "--out", str(out), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, **options)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> tuple[dict, str, str]:
    """What a rehearsal of all stages wrote and printed."""
    out = tmp_path_factory.mktemp("gpu")
    done = run(out, "--rehearse", "--minutes", "9")
    assert done.returncode == 0, done.stderr
    return json.loads((out / "gpu.json").read_text()), (out / "table.md").read_text(), done.stdout


def names(stages: dict, stage: str) -> set[str]:
    return {row["name"] for row in stages[stage]["rows"]}


def test_every_stage_runs_and_a_failure_or_a_hang_does_not_end_the_others(rehearsed):
    stages, _, printed = rehearsed
    status = {name: content["status"] for name, content in stages.items()}
    assert list(status) == [*gpu_stages.STAGES, *gpu.FAILURES]
    assert status.pop("camvid") == "failed: UserError: needs --camvid DIR"
    assert status.pop("raise").startswith("failed: ZeroDivisionError")
    assert status.pop("hang") == "stopped after 1 s"
    assert set(status.values()) == {"done"}
    assert "hang: stopped after 1 s\n" in printed


def test_each_side_of_a_stage_is_measured_and_a_missing_peer_is_a_row(rehearsed):
    stages = rehearsed[0]
    expected = {"eager, batch 2", "channels_last, batch 2", "onedl"}
    assert names(stages, "train-tiny") == expected
    assert names(stages, "infer-tiny") > expected
    for stage in ("train-large", "infer-tiny"):
        (peer,) = [row for row in stages[stage]["rows"] if row["name"] == "onedl"]
        assert "--peer-python" in peer["error"]
        assert all(row.get("ms", 1) > 0 for row in stages[stage]["rows"])


def test_the_table_has_all_rows_and_a_verdict_for_each_switch(rehearsed):
    stages, table, printed = rehearsed
    for content in stages.values():
        assert all(f"| {row['name']} | " in table for row in content["rows"])
    for switch in gpu.SWITCHES:
        assert f"| {switch} | " in table
        assert f"{switch}: " in printed


def test_a_stage_that_is_run_again_leaves_the_rows_of_the_others(tmp_path):
    gpu.note(tmp_path, "loader", {"name": "old", "ms": 1.0}, status="done")
    gpu.note(tmp_path, "mapping", {"name": "old", "ms": 1.0}, status="done")
    gpu.note(tmp_path, "mapping", rows=[], status="stopped after 1 s")
    stages = gpu.read(tmp_path)
    assert names(stages, "loader") == {"old"}
    assert names(stages, "mapping") == set()


def test_a_stage_that_is_ended_takes_its_processes_along_and_leaves_what_it_measured(
    tmp_path, monkeypatch
):
    file = tmp_path / "pid"

    def slow(stage):
        stage.add("first", ms=1.0)
        child = subprocess.Popen(["sleep", "60"])
        file.write_text(str(child.pid))
        time.sleep(60)

    monkeypatch.setitem(gpu.STAGES, "facts", (1, slow))
    arguments = {"out": tmp_path, "rehearse": True, "camvid": None, "peer_python": None}
    gpu.run_apart("facts", Namespace(**arguments), 2)
    content = gpu.read(tmp_path)["facts"]
    assert content == {"rows": [{"name": "first", "ms": 1.0}], "status": "stopped after 2 s"}
    state = Path(f"/proc/{file.read_text()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def measured(stage: str, **times: float) -> dict:
    return {stage: {"rows": [{"name": f"{n}, batch 16", "ms": ms} for n, ms in times.items()]}}


def checked(name: str, passed: bool) -> dict:
    return {"correctness": {"rows": [{"name": name, "passed": passed}]}}


@pytest.mark.parametrize(
    ("switch", "stages", "wanted"),
    [
        ("graphs", measured("train-tiny", eager=30.0, graphs=20.0), "keep: at best 1.50 times"),
        ("graphs", measured("train-tiny", eager=22.0, graphs=20.0), "drop: at best 1.10 times"),
        # What a kernel wins counts on top of the graphs.
        ("depthwise", measured("train-tiny", eager=30.0, graphs=11.0, depthwise=10.0), "drop"),
        ("depthwise", measured("train-tiny", eager=30.0, depthwise=10.0), "not decided"),
        ("depthwise", measured("loader", graphs=30.0, depthwise=10.0), "not decided"),
    ],
)
def test_a_switch_stays_if_it_wins_end_to_end(switch, stages, wanted):
    checks = checked("test_compiled_steps", True)
    checks["correctness"]["rows"].append({"name": "test_convolutions[5-3]", "passed": True})
    assert gpu.verdict(switch, stages | checks).startswith(wanted)


def test_a_fast_switch_with_wrong_or_unchecked_numbers_does_not_stay():
    fast = measured("infer-large", graphs=30.0, class_map=10.0)
    assert gpu.verdict("class_map", fast).startswith("not decided")
    wrong = checked("test_class_maps_take_the_first_of_equal_classes", False)
    assert gpu.verdict("class_map", fast | wrong).startswith("drop: test_class_maps")
    right = checked("test_class_maps_take_the_first_of_equal_classes", True)
    assert gpu.verdict("class_map", fast | right).startswith("keep")


def test_every_switch_has_a_side_and_checks_in_the_suite():
    sides = {*gpu_stages.TRAINING, *gpu_stages.INFERENCE}
    assert {*gpu.SWITCHES, *(base for base, _ in gpu.SWITCHES.values())} == sides
    texts = "".join((ROOT / file).read_text() for file in gpu_stages.CHECKS)
    for _, pattern in gpu.SWITCHES.values():
        assert gpu.re.search(rf"def test_\w*({pattern})|ids=.*({pattern})", texts), pattern


def test_a_side_that_ends_is_a_row_and_the_others_are_measured(monkeypatch, tmp_path):
    rows: dict[str, dict] = {}
    arguments = Namespace(rehearse=True, peer_python=None, camvid=None)
    stage = gpu_stages.Stage(arguments, lambda name, **row: rows.update({name: row}), tmp_path)

    def answers(job, asked):
        yield {}
        if job["part"] == "train":
            raise RuntimeError("CUDA error: out of memory")
        for _ in asked:
            yield {"seconds": 0.5, "peak_mib": 3.0}

    monkeypatch.setattr(worker, "answers", answers)
    gpu_stages.take_turns(stage, {"one": stage.job("train"), "two": stage.job("predict")})
    assert rows["one"] == {"error": "RuntimeError: CUDA error: out of memory"}
    assert rows["two"] == {"ms": 500.0, "images_per_s": 4.0, "peak_mib": 3.0}
