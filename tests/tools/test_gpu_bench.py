"""tools/bench/gpu.py without a GPU: every stage at tiny sizes, failures, and the verdicts."""

import subprocess
import time
from argparse import Namespace
from pathlib import Path

import gpu
import gpu_stages
import pytest
import worker
from run_tool import run

ROOT = Path(__file__).parents[2]
SIDES = {"eager": 30.0, "onedl": 48.0}


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> tuple[list[dict], str, str]:
    """The rows and the table that a rehearsal of all stages wrote, and what it printed."""
    out = tmp_path_factory.mktemp("gpu")
    printed = run(out, "bench/gpu.py", "--out", ".", "--rehearse", "--minutes", "9")
    return gpu.read(out), (out / "table.md").read_text(), printed


def row(stage: str, what: str, **values) -> dict:
    return {"stage": stage, "what": what, **values}


def names(rows: list[dict], stage: str) -> set[str]:
    return {row["what"] for row in rows if row["stage"] == stage} - {"status"}


def test_every_stage_runs_and_a_failure_or_a_hang_does_not_end_the_others(rehearsed):
    rows, _, printed = rehearsed
    status = {row["stage"]: row["result"] for row in rows if row["what"] == "status"}
    assert list(status) == [*gpu_stages.STAGES, *gpu.FAILURES]
    assert status.pop("raise").startswith("failed: ZeroDivisionError")
    assert status.pop("hang") == "stopped after 1 s"
    assert set(status.values()) == {"done"}
    assert "hang: stopped after 1 s\n" in printed


def test_each_side_of_a_stage_is_measured_and_a_missing_peer_is_a_row(rehearsed):
    rows = rehearsed[0]
    expected = {"eager, batch 2", "channels_last, batch 2", "onedl"}
    assert names(rows, "train-tiny") == expected
    assert names(rows, "infer-tiny") > expected
    assert names(rows, "camvid") == {"this, seed 0", "onedl, seed 0"}
    for stage in ("train-large", "infer-tiny", "camvid"):
        (peer,) = [row for row in rows if row["stage"] == stage and "onedl" in row["what"]]
        assert "--peer-python" in peer["error"]
    assert [row["what"] for row in rows if "error" in row and "onedl" not in row["what"]] == []
    assert all(row.get("ms", 1) > 0 for row in rows)


def test_an_exported_file_is_timed(rehearsed):
    pytest.importorskip("onnxruntime")
    assert "onnx CPUExecutionProvider, batch 2" in names(rehearsed[0], "infer-large")


def test_the_table_has_all_rows_and_a_verdict_for_each_switch(rehearsed):
    rows, table, printed = rehearsed
    assert all(f"| {row['stage']} | {row['what']} | " in table for row in rows)
    for switch in gpu.SWITCHES:
        assert f"| {switch} | " in table
        assert f"{switch}: " in printed


def test_measured_numbers_stand_beside_the_expected_ones(tmp_path):
    place = "train-tiny"
    gpu.write_table(tmp_path, [row(place, f"{s}, batch 16", ms=ms) for s, ms in SIDES.items()])
    table = (tmp_path / "table.md").read_text()
    measured, other = "train-tiny, batch 16", "infer-tiny, batch 1"
    line = f"| {measured} | {gpu.EXPECTED[measured]} | eager 30.00, onedl 48.00 |\n"
    assert line in table
    assert f"| {other} | {gpu.EXPECTED[other]} | not measured |" in table


def test_the_empty_table_of_the_documentation_is_that_of_the_script(tmp_path):
    gpu.write_table(tmp_path, [])
    table = (tmp_path / "table.md").read_text().partition("\n\n")[0]
    assert table in (ROOT / "docs/gpu.md").read_text()


def test_a_stage_that_is_run_again_leaves_the_rows_of_the_others(tmp_path, monkeypatch):
    gpu.note(tmp_path, "loader", "old", ms=1.0)
    gpu.note(tmp_path, "mapping", "old", ms=1.0)
    monkeypatch.setitem(gpu.STAGES, "mapping", (60, lambda stage: stage.add("new", ms=2.0)))
    gpu.run_apart("mapping", arguments(tmp_path), 60)
    rows = [row("loader", "old", ms=1.0), row("mapping", "new", ms=2.0)]
    assert gpu.read(tmp_path) == [*rows, row("mapping", "status", result="done")]


def arguments(out: Path) -> Namespace:
    return Namespace(out=out, rehearse=True, camvid=None, peer_python=None)


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
    gpu.run_apart("facts", arguments(tmp_path), 1)
    status = row("facts", "status", result="stopped after 1 s")
    assert gpu.read(tmp_path) == [row("facts", "first", ms=1.0), status]
    state = Path(f"/proc/{file.read_text()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def measured(stage: str, **times: float) -> list[dict]:
    return [row(stage, f"{name}, batch 16", ms=ms) for name, ms in times.items()]


def checked(name: str, passed: bool) -> list[dict]:
    return [row("correctness", name, passed=passed)]


@pytest.mark.parametrize(
    ("switch", "rows", "wanted"),
    [
        ("graphs", measured("train-tiny", eager=30.0, graphs=20.0), "keep: at best 1.50 times"),
        ("graphs", measured("train-tiny", eager=22.0, graphs=20.0), "drop: at best 1.10 times"),
        # What a kernel wins counts on top of the graphs.
        ("depthwise", measured("train-tiny", eager=30.0, graphs=11.0, depthwise=10.0), "drop"),
        ("depthwise", measured("train-tiny", eager=30.0, depthwise=10.0), "not decided"),
        ("depthwise", measured("loader", graphs=30.0, depthwise=10.0), "not decided"),
    ],
)
def test_a_switch_stays_if_it_wins_end_to_end(switch, rows, wanted):
    checks = checked("test_compiled_steps", True) + checked("test_convolutions[5-3]", True)
    assert gpu.verdict(switch, rows + checks).startswith(wanted)


def test_a_fast_switch_with_wrong_or_unchecked_numbers_does_not_stay():
    fast = measured("infer-large", graphs=30.0, class_map=10.0)
    assert gpu.verdict("class_map", fast).startswith("not decided")
    wrong = checked("test_class_maps_take_the_first_of_equal_classes", False)
    assert gpu.verdict("class_map", fast + wrong).startswith("drop: test_class_maps")
    right = checked("test_class_maps_take_the_first_of_equal_classes", True)
    assert gpu.verdict("class_map", fast + right).startswith("keep")


def test_every_switch_has_a_side_and_checks_in_the_suite():
    sides = {*gpu_stages.TRAINING, *gpu_stages.INFERENCE}
    assert {*gpu.SWITCHES, *(base for base, _ in gpu.SWITCHES.values())} == sides
    texts = "".join((ROOT / file).read_text() for file in gpu_stages.CHECKS)
    for _, pattern in gpu.SWITCHES.values():
        assert gpu.re.search(rf"def test_\w*({pattern})|ids=.*({pattern})", texts), pattern


def test_a_side_that_ends_is_a_row_and_the_others_are_measured(monkeypatch, tmp_path):
    rows: dict[str, dict] = {}
    stage = gpu_stages.Stage(
        arguments(tmp_path), lambda name, **row: rows.update({name: row}), tmp_path
    )

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
