"""What ends a training run before its time, as seen from the command line."""

import multiprocessing
import os
import re
import runpy
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from run_tool import TOOLS, Tool, group_variables, run_tool
from tiny_project import write_project
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

ENDLESS = ("--cfg-options", "train_cfg.max_iters=100000", "train_cfg.val_interval=100000")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    return folder


def test_a_signal_saves_after_the_iteration_and_leaves_with_code_75(project):
    number, work = signal.SIGUSR1, project / "signal"
    options = ("--work-dir", work.name, *ENDLESS, "train_dataloader.num_workers=1")
    tool = Tool("train.py", "tiny.py", *options, cwd=project)
    tool.read_until(r"Iter\(train\) \[\s*3/")
    os.kill(tool.process.pid, number)
    code, text = tool.finish(), tool.text()
    assert code == 75, text
    step = int(re.search(rf"{number.name}: saved iteration (\d+)", text)[1])
    assert os.readlink(work / "latest.pth") == f"iter_{step}.pth"
    assert f"Iter(train) [     {step + 1}/" not in text


def test_a_loss_that_is_nan_stops_before_the_step_and_keeps_the_batch(project):
    result = run_tool(
        *("train.py", "tiny.py", "--work-dir", "nan", "--no-validate", "--cfg-options"),
        *("optim_wrapper.optimizer.lr=1e20", "train_cfg.max_skipped_steps=1"),
        cwd=project,
    )
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1, result.stderr
    assert "this step is left out, 1 of at most 1" in result.stdout + result.stderr
    step = int(re.match(r"error: iteration (\d+): the loss is not finite", last)[1])
    kept = torch.load(project / f"nan/nonfinite_iter_{step}_process_0.pth")
    assert kept["iteration"] == step
    assert kept["inputs"].shape[:2] == (4, 3)  # stacked by the loader
    assert len(kept["labels"]) == len(kept["files"]) == 4
    assert all(name in last and Path(name).is_file() for name in kept["files"])
    assert not torch.tensor(kept["losses"]["loss"]).isfinite()


def test_when_a_process_is_killed_the_other_ends_within_a_minute_with_a_message(project):
    arguments = ("train.py", "tiny.py", "--launcher", "pytorch", "--work-dir", "pair", *ENDLESS)
    first, second = (
        Tool(*arguments, cwd=project, variables=variables) for variables in group_variables(2)
    )
    first.read_until(r"Iter\(train\) \[\s*3/")
    second.process.kill()
    second.finish()
    assert first.finish(60) == 1
    assert "another process of this run has ended" in first.text().splitlines()[-1]


def torchrun(folder, *options):
    """Be torchrun, whose workers are forked here instead of started: they import nothing anew."""
    os.chdir(folder)
    file = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ["OMP_NUM_THREADS"] = "1"  # as torchrun does
    torch.set_num_threads(1)
    rendezvous = {"run_id": "test", "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    restarts = {"max_restarts": 1, "monitor_interval": 0.1, "start_method": "fork"}
    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=2, **rendezvous, **restarts)
    elastic_launch(config, train)(*options)


def train(*options):
    sys.argv = [str(TOOLS / "train.py"), *options]
    sys.path.insert(0, str(TOOLS))
    runpy.run_path(sys.argv[0], run_name="__main__")


def test_torchrun_starts_a_killed_run_again_and_it_ends_in_the_same_bits(project):
    options = ("--resume", "--no-validate", "--cfg-options", "train_cfg.max_iters=8")
    options = (*options, "train_cfg.val_interval=4", "default_hooks.checkpoint.max_keep_ckpts=1")
    options = (*options, "param_scheduler.0.end=9")  # its rate is never 0
    whole = run_tool(
        *("train.py", "tiny.py", "--work-dir", "whole", *options), cwd=project, processes=2
    )
    assert whole.returncode == 0, whole.stderr[-3000:]
    log, arguments = project / "log.txt", (project, "tiny.py", "--work-dir", "broken", *options)
    agent = multiprocessing.get_context("forkserver").Process(target=torchrun, args=arguments)
    agent.start()
    end = time.monotonic() + 60
    while not log.exists() or "Iter(train) [5/" not in log.read_text():
        assert agent.is_alive() and time.monotonic() < end, log.exists() and log.read_text()
        time.sleep(0.02)
    printed = log.read_text().splitlines()
    assert not [line for line in printed if "Warning: " in line]
    lock = (project / "broken/.lock").read_text()
    os.kill(int(lock.split()[0]), signal.SIGKILL)
    agent.join(60)
    text = log.read_text()
    assert agent.exitcode == 0, text[-3000:]
    assert "resumed epoch: 0, iter: 4" in text
    states = [
        torch.load(project / work / "iter_8.pth", weights_only=False)
        for work in ("whole", "broken")
    ]
    for part in ("state_dict", "optimizer"):
        compared = torch.utils._pytree.tree_leaves([state[part] for state in states])
        half = len(compared) // 2
        for one, other in zip(compared[:half], compared[half:], strict=True):
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
