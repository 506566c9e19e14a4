"""Signals, as a process of its own gets them."""

import logging
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mmseg.engine.preemption import EXIT_CODE, PreemptionHook

SCRIPT = """
import os, signal
from mmseg.engine.preemption import PreemptionHook
PreemptionHook().before_run(None)
for name in {names}:
    os.kill(os.getpid(), getattr(signal, name))
print("still here")
"""


@pytest.mark.parametrize(
    ("names", "code", "output"),
    [(["SIGINT"], 0, "still here\n"), (["SIGINT", "SIGTERM"], 75, "")],
)
def test_a_first_signal_waits_for_the_iteration_and_a_second_leaves_at_once(names, code, output):
    command = [sys.executable, "-c", SCRIPT.format(names=names)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (code, output), result.stderr


def test_a_signal_waits_for_the_rest_of_a_batch_that_is_accumulated():
    runner = SimpleNamespace(
        optim_wrapper=SimpleNamespace(_accumulative_counts=2),
        hooks=[],
        logger=logging.getLogger(),
        iter=0,
    )
    hook = PreemptionHook()
    hook.received = signal.SIGTERM
    hook.after_train_iter(runner)
    runner.iter = 1
    with pytest.raises(SystemExit) as left:
        hook.after_train_iter(runner)
    assert left.value.code == EXIT_CODE
