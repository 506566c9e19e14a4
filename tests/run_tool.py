"""Run a tool in processes of its own; conftest.py spares them the seconds of importing torch."""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

TOOLS = Path(__file__).parents[1] / "tools"
TIMEOUT = 120  # seconds


def run_tool(
    name: str,
    *arguments: object,
    cwd: Path | None = None,
    python_path: Path | None = None,
    processes: int = 1,
) -> subprocess.CompletedProcess:
    """Run tools/`name` in the folder `cwd` to its end, and return what it printed and its code.

    More than one process are a group, with the environment that torchrun gives them.
    """
    command = [str(TOOLS / name), *map(str, arguments)]
    added = [str((TOOLS / name).parent), *([str(python_path)] if python_path else [])]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, stream) for stream in ("stdout", "stderr")]
        context = multiprocessing.get_context("forkserver")
        started = [
            context.Process(
                target=_become, args=(command, cwd or Path.cwd(), added, outputs, variables)
            )
            for variables in _groups(processes)
        ]
        for process in started:
            process.start()
        end = time.monotonic() + TIMEOUT
        for process in started:
            process.join(max(0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
        for process in started:
            process.join()
        codes = [process.exitcode for process in started]
        code = next((code for code in codes if code), 0)
        return subprocess.CompletedProcess(command, code, *(path.read_text() for path in outputs))


def _groups(processes: int) -> list[dict[str, str]]:
    """Return the environment variables of each process."""
    if processes == 1:
        return [{}]
    with socket.create_server(("127.0.0.1", 0)) as free:
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    common |= {"WORLD_SIZE": str(processes), "TORCHELASTIC_RUN_ID": "test"}
    ranks = map(str, range(processes))
    return [{"RANK": rank, "LOCAL_RANK": rank, **common} for rank in ranks]


def _become(
    command: Sequence[str],
    cwd: Path,
    python_path: Sequence[str],
    outputs: Sequence[Path],
    variables: Mapping[str, str],
) -> None:
    """Be the process of a tool: its folder, output, arguments, module path and environment."""
    os.chdir(cwd)
    for stream, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.argv = [*command]
    sys.path[:0] = python_path
    os.environ.update(variables)
    if variables:
        torch.set_num_threads(1)  # as torchrun does
    runpy.run_path(command[0], run_name="__main__")
