"""Signals, as a process of its own gets them."""

import logging
import multiprocessing
import os
import runpy
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from run_tool import TOOLS
from tiny_project import write_project

from mmseg.engine import SegRunner
from mmseg.engine.checkpoint_hook import LatestCheckpointHook
from mmseg.engine.preemption import EXIT_CODE, PreemptionHook

STILL_THERE = 3


def exit_code(target, argument) -> int | None:
    process = multiprocessing.get_context("forkserver").Process(target=target, args=(argument,))
    process.start()
    process.join(60)
    return process.exitcode


def send_to_itself(names: list[str]) -> None:
    PreemptionHook().before_run(None)
    for name in names:
        os.kill(os.getpid(), getattr(signal, name))
    sys.exit(STILL_THERE)


@pytest.mark.parametrize(
    ("names", "code"), [(["SIGINT"], STILL_THERE), (["SIGINT", "SIGTERM"], 75)]
)
def test_a_first_signal_waits_for_the_iteration_and_a_second_leaves_at_once(names, code):
    assert exit_code(send_to_itself, names) == code


def train_until_asked_twice(config: Path) -> None:
    left = SimpleNamespace(train=lambda: sys.exit(EXIT_CODE))
    SegRunner.from_cfg = classmethod(lambda cls, config: left)
    sys.argv = ["train.py", str(config), "--work-dir", str(config.parent)]
    sys.path.insert(0, str(TOOLS))
    with suppress(SystemExit):
        runpy.run_path(str(TOOLS / "train.py"), run_name="__main__")
    os.kill(os.getpid(), signal.SIGTERM)
    sys.exit(STILL_THERE)


def test_a_second_signal_while_the_tool_leaves_has_its_exit_code(tmp_path):
    write_project(tmp_path)
    assert exit_code(train_until_asked_twice, tmp_path / "tiny.py") == EXIT_CODE


def make_runner(gradients_wait: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        optim_wrapper=SimpleNamespace(should_update=lambda: not gradients_wait),
        hooks=[],
        logger=logging.getLogger(),
        iter=0,
    )


def leave_if_the_second_is_asked(rank: int) -> int:
    hook, runner = PreemptionHook(), make_runner()
    hook.before_run(runner)
    hook.after_train_iter(runner)
    hook.received = rank and signal.SIGTERM
    with pytest.raises(SystemExit) as left:
        hook.after_train_iter(runner)
    return left.value.code


def test_all_processes_leave_when_one_is_asked_to(in_two_processes):
    assert in_two_processes(leave_if_the_second_is_asked) == [EXIT_CODE, EXIT_CODE]


def test_a_signal_waits_for_the_step_that_gradients_wait_for():
    hook = PreemptionHook()
    hook.received = signal.SIGTERM
    hook.after_train_iter(make_runner(gradients_wait=True))
    with pytest.raises(SystemExit) as left:
        hook.after_train_iter(make_runner())
    assert left.value.code == EXIT_CODE


def test_a_signal_in_a_validation_saves_nothing_while_averages_stand_for_the_weights(monkeypatch):
    """The state was saved before, or could not be: then the run goes on from an older one."""
    hook, runner = PreemptionHook(), make_runner()
    saver = LatestCheckpointHook()
    monkeypatch.setattr(saver, "save", lambda *_: pytest.fail("saved in a validation"))
    runner.hooks, runner.iter, runner.logger = [saver], 4, Mock()
    hook.received = signal.SIGTERM
    for saved_step, told in ((4, "saved iteration 4"), (2, "could not save iteration 4")):
        saver.saved_step = saved_step
        with pytest.raises(SystemExit):
            hook.after_val_iter(runner)
        assert told in runner.logger.warning.call_args[0][0]
