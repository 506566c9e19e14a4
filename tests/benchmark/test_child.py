"""Both ends of the conversation between the parent and a side's process."""

import io
import json
import mmap
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mmseg.benchmark.child import Child
from mmseg.benchmark.workers.protocol import memory, serve
from mmseg.errors import UserError

WORKER = """
import json, os, sys
print("libraries print")
answers = os.fdopen(int(sys.argv[1]), "w", buffering=1)
job = json.loads(sys.stdin.readline())
print(json.dumps({"versions": job}), file=answers)
for line in sys.stdin:
    do = json.loads(line)["do"]
    if do == "die":
        sys.exit("out of luck")
    failed = {"error": "no such file\\nelsewhere", "kind": job.get("kind")}
    print(json.dumps(failed if do == "fail" else {"did": do}), file=answers)
"""


@pytest.fixture
def worker(tmp_path: Path) -> list[str]:
    (tmp_path / "worker.py").write_text(WORKER)
    return [sys.executable, "-S", str(tmp_path / "worker.py")]


def test_a_child_gets_the_job_and_runs_actions(worker):
    with Child("ours", worker, {"part": "infer"}, os.environ) as child:
        assert child.answer() == {"versions": {"part": "infer"}}
        assert [child.run(name)["did"] for name in ("step", "loop")] == ["step", "loop"]


@pytest.mark.parametrize(
    ("kind", "action", "message"),
    [
        ("UserError", "fail", "^ours: no such file elsewhere$"),
        ("KeyError", "fail", "^ours: KeyError: no such file elsewhere$"),
        ("", "die", r"^ours: the process ended with code 1 \(out of luck\)$"),
    ],
)
def test_what_ends_a_worker_is_told_in_one_line(worker, kind, action, message):
    with Child("ours", worker, {"kind": kind}, os.environ) as child:
        child.answer()
        with pytest.raises(UserError, match=message):
            child.run(action)


def serve_lines(monkeypatch, prepare, *lines: dict) -> list[dict]:
    read, write = os.pipe()
    monkeypatch.setattr(sys, "argv", ["worker", str(write)])
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{json.dumps(x)}\n" for x in lines)))
    with suppress(ZeroDivisionError):
        serve(prepare)
    with os.fdopen(read) as answers:
        return [json.loads(line) for line in answers]


def test_a_worker_answers_with_time_memory_and_what_the_action_adds(monkeypatch):
    def prepare(job: dict) -> tuple[dict, dict]:
        return {"sleep": lambda: time.sleep(0.02), "count": lambda: {"count": job["n"]}}, {"v": "1"}

    job = {"device": "cpu", "threads": 2, "n": 7}
    orders = [{"do": name} for name in ("forget peak", "sleep", "count")]
    ready, forgot, slept, counted = serve_lines(monkeypatch, prepare, job, *orders)
    assert ready == {"versions": {"v": "1"}}
    assert 0.02 <= slept["seconds"] < 1
    assert counted["count"] == 7
    assert 50 < forgot["rss_mb"] <= slept["peak_rss_mb"] < 100_000


def test_a_worker_tells_why_it_fails(monkeypatch):
    job = {"device": "cpu", "threads": 2}
    answer = serve_lines(monkeypatch, lambda job: 1 / 0, job)
    assert answer == [{"error": "division by zero", "kind": "ZeroDivisionError"}]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_peaks_start_anew(monkeypatch):
    def fill_pages() -> None:
        # Not malloc's memory, which it may keep.
        with mmap.mmap(-1, 2**28) as pages:
            for start in range(0, len(pages), mmap.PAGESIZE):
                pages[start] = 1

    def prepare(job: dict) -> tuple[dict, dict]:
        return {"large": fill_pages}, {}

    orders = [{"do": name} for name in ("large", "forget peak")]
    _, large, after = serve_lines(monkeypatch, prepare, {"device": "cpu", "threads": 2}, *orders)
    assert large["peak_rss_mb"] - large["rss_mb"] > 200
    assert after["peak_rss_mb"] - after["rss_mb"] < 50
    assert memory("cpu").keys() == {"rss_mb", "peak_rss_mb"}
