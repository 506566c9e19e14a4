"""Tasks of the compiled loops on threads."""

import threading
import time

import pytest
import torch

from mmseg.ops import compiled


@pytest.fixture(params=[3, 1])
def number(request):
    threads = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(threads)


def test_results_come_in_the_order_of_the_tasks(number):
    def late_if_early(task):
        time.sleep(0.02 if task == 0 else 0)
        return task, threading.get_ident()

    results = compiled.run(late_if_early, range(20))
    assert [task for task, _ in results] == list(range(20))
    assert (len({thread for _, thread in results}) > 1) == (number > 1)
    assert compiled.run(late_if_early, []) == []
