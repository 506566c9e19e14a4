"""Save and leave when a signal asks for it: the machine is needed for something else."""

import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
import torch.distributed
from mmengine.dist import all_reduce, barrier, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg.engine.checkpoint_hook import LatestCheckpointHook

# A scheduler sends SIGTERM or SIGUSR1 (Slurm: --signal=USR1@120), Ctrl-C sends SIGINT. Windows has
# no SIGUSR1.
SIGNALS = [each for each in signal.Signals if each.name in {"SIGTERM", "SIGINT", "SIGUSR1"}]
# EX_TEMPFAIL of sysexits.h: not done, and trying again will help.
EXIT_CODE = 75


def leave_at_once_when_asked() -> None:
    """Let a signal end a process that is leaving already, with the same exit code."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(EXIT_CODE))


class PreemptionHook(Hook):
    """At a signal, save after the iteration and leave with `EXIT_CODE`; at a second one, at once.

    All processes leave after the same iteration, whichever of them got the signal.
    """

    priority = "LOWEST"
    received: int = 0

    def __init__(self) -> None:
        self.before: dict[signal.Signals, Any] = {}
        self.group: Any = None

    def before_run(self, runner: Runner) -> None:
        if is_distributed():
            # Through NCCL, the question after each iteration would wait for the GPU.
            self.group = torch.distributed.new_group(backend="gloo")
        if threading.current_thread() is threading.main_thread():  # no other thread gets signals
            self.before = {number: signal.signal(number, self._receive) for number in SIGNALS}

    def restore(self) -> None:
        """Give the signals their handlers of before the run, however it ended."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # The loader's workers inherit this: a first signal to all processes leaves them working.
        if self.received:
            os._exit(EXIT_CODE)
        self.received = number

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        # Gradients that wait for a step, by `accumulative_counts`, are not in a checkpoint.
        if runner.optim_wrapper.should_update():
            self._leave_if_asked(runner, runner.iter + 1, saves=True)

    def after_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        # The state was saved before the validation, in which averaged weights take their place.
        self._leave_if_asked(runner, runner.iter, saves=False)

    def _leave_if_asked(self, runner: Runner, step: int, saves: bool) -> None:
        received = torch.tensor(self.received)
        all_reduce(received, "max", self.group)
        if not received:
            return
        saved = any(
            hook.saved_step == step or (saves and hook.save(runner, step))
            for hook in runner.hooks
            if isinstance(hook, LatestCheckpointHook)
        )
        runner.logger.warning(
            f"{signal.Signals(int(received)).name}: {'saved' if saved else 'could not save'} "
            f"iteration {step}; --resume goes on from the newest checkpoint"
        )
        barrier()  # nobody leaves, and makes a launcher end the others, before the file is whole
        raise SystemExit(EXIT_CODE)
