"""What ends a training run before its time, as seen from the command line."""

import os
import re
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
import torch
from run_tool import Tool, group_variables, run_tool
from tiny_project import write_project

ROOT = Path(__file__).parents[2]
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


def test_torchrun_starts_a_killed_run_again_and_it_ends_in_the_same_bits(project):
    options = ("--resume", "--no-validate", "--cfg-options", "train_cfg.max_iters=8")
    options = (*options, "train_cfg.val_interval=4", "default_hooks.checkpoint.max_keep_ckpts=1")
    options = (*options, "param_scheduler.0.end=9")  # its rate is never 0
    whole = run_tool(
        *("train.py", "tiny.py", "--work-dir", "whole", *options), cwd=project, processes=2
    )
    assert whole.returncode == 0, whole.stderr[-3000:]
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2")
    torchrun = (*torchrun, "--max-restarts=1", "--master-port=29632")
    command = [*torchrun, str(ROOT / "tools/train.py"), "tiny.py", "--work-dir", "broken", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=project, env=environment, text=True, stdout=-1, stderr=subprocess.STDOUT
    )
    printed = [*takewhile(lambda line: "Iter(train) [5/" not in line, process.stdout)]
    assert process.poll() is None, "".join(printed)[-3000:]
    assert not [line for line in printed if "Warning: " in line]
    lock = (project / "broken/.lock").read_text()
    os.kill(int(lock.split()[0]), signal.SIGKILL)
    text, _ = process.communicate(timeout=60)
    code = process.returncode
    assert code == 0, text[-3000:]
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
