"""What ends a training run before its time, as seen from the command line."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from run_tool import run_tool
from tiny_project import write_project

ROOT = Path(__file__).parents[2]
ENDLESS = ("--cfg-options", "train_cfg.max_iters=100000", "train_cfg.val_interval=100000")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    return folder


def start(folder: Path, *args: str, launcher: tuple[str, ...] = (), **variables: str):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, *launcher, str(ROOT / "tools/train.py"), "tiny.py", *args]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=-1, stderr=subprocess.STDOUT
    )


def read_until(process, pattern: str) -> str:
    text = ""
    for line in process.stdout:
        text += line
        if re.search(pattern, line):
            return text
    raise AssertionError(f"{pattern} does not come in\n{text[-3000:]}")


def finish(process, seconds: float = 60) -> tuple[int, str]:
    text, _ = process.communicate(timeout=seconds)
    return process.returncode, text


def test_a_signal_saves_after_the_iteration_and_leaves_with_code_75(project):
    number, work = signal.SIGUSR1, project / "signal"
    process = start(project, "--work-dir", work.name, *ENDLESS, "train_dataloader.num_workers=1")
    read_until(process, r"Iter\(train\) \[\s*3/")
    process.send_signal(number)
    code, text = finish(process)
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
    assert len(kept["inputs"]) == len(kept["labels"]) == len(kept["files"]) == 4
    assert all(name in last and Path(name).is_file() for name in kept["files"])
    assert not torch.tensor(kept["losses"]["loss"]).isfinite()


def pair(project: Path, work_dir: str, port: str) -> list:
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    arguments = ("--launcher", "pytorch", "--work-dir", work_dir, *ENDLESS)
    return [start(project, *arguments, RANK=rank, LOCAL_RANK=rank, **common) for rank in ("0", "1")]


def test_when_a_process_is_killed_the_other_ends_within_a_minute_with_a_message(project):
    processes = pair(project, "pair", "29621")
    read_until(processes[0], r"Iter\(train\) \[\s*3/")
    processes[1].kill()
    begin = time.monotonic()
    code, text = finish(processes[0])
    finish(processes[1])
    assert code == 1 and time.monotonic() - begin < 60
    assert "another process of this run has ended" in text.splitlines()[-1]


def test_torchrun_starts_a_killed_run_again_and_it_ends_in_the_same_bits(project):
    options = ("--resume", "--no-validate", "--cfg-options", "train_cfg.max_iters=16")
    options = (*options, "train_cfg.val_interval=4", "default_hooks.checkpoint.max_keep_ckpts=1")
    whole = run_tool(
        *("train.py", "tiny.py", "--work-dir", "whole", *options), cwd=project, processes=2
    )
    assert whole.returncode == 0, whole.stderr[-3000:]
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=1")
    launcher = (*launcher, "--master-port=29632")
    process = start(project, "--work-dir", "broken", *options, launcher=launcher)
    read_until(process, r"Iter\(train\) \[\s*9/")
    lock = (project / "broken/.lock").read_text()
    os.kill(int(lock.split()[0]), signal.SIGKILL)
    code, text = finish(process)
    assert code == 0, text[-3000:]
    assert "resumed epoch: 0, iter: 8" in text
    states = [
        torch.load(project / work / "iter_16.pth", weights_only=False)
        for work in ("whole", "broken")
    ]
    for part in ("state_dict", "optimizer"):
        compared = torch.utils._pytree.tree_leaves([state[part] for state in states])
        half = len(compared) // 2
        for one, other in zip(compared[:half], compared[half:], strict=True):
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
