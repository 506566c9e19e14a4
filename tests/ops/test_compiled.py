"""Tasks of the compiled loops on threads."""

import threading
import time

import pytest
import torch

from mmseg.ops import compiled


@pytest.fixture(params=["openmp", "pool", "one thread"])
def way(request, monkeypatch):
    """Run on the threads of torch, on a pool, and on none."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if request.param == "one thread" else 3)
    if request.param == "pool":
        monkeypatch.setattr(compiled, "_openmp", lambda: None)
    yield request.param
    torch.set_num_threads(threads)


def test_results_come_in_the_order_of_the_tasks(way):
    def late_if_early(task):
        time.sleep(0.02 if task == 0 else 0)
        return task, threading.get_ident()

    results = compiled.run(late_if_early, range(20))
    assert [task for task, _ in results] == list(range(20))
    assert (len({thread for _, thread in results}) > 1) == (way != "one thread")
    assert compiled.run(late_if_early, []) == []


@pytest.mark.parametrize("count", [0, 1, 2, 23])
def test_pieces_cover_a_range(way, count):
    found = []
    compiled.run_pieces(lambda begin, end: found.extend(range(begin, end)), count, per_thread=2)
    assert sorted(found) == list(range(count))


def test_an_error_of_a_task_is_raised(way):
    def fail(task):
        if task == 3:
            raise ValueError("three")
        return task

    with pytest.raises(ValueError, match="three"):
        compiled.run(fail, range(6))
    assert compiled.run(fail, range(3)) == [0, 1, 2]


def test_torch_runs_on_openmp_here():
    assert compiled._openmp() is not None
