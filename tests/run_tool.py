"""Run a tool in a process of its own, which need not import torch anew, or in this one."""

import multiprocessing
import os
import re
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import torch

TOOLS = Path(__file__).parents[1] / "tools"
TIMEOUT = 120  # seconds


class Tool:
    """A process of a tool; what it prints to both streams is in files."""

    def __init__(
        self,
        name: str,
        *arguments: object,
        cwd: Path | None = None,
        python_path: Path | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.outputs = [Path(self.folder.name, stream) for stream in ("stdout", "stderr")]
        self.command = [str(TOOLS / name), *map(str, arguments)]
        added = [str((TOOLS / name).parent), *([str(python_path)] if python_path else [])]
        self.process = multiprocessing.get_context("forkserver").Process(
            target=_become,
            args=(self.command, cwd or Path.cwd(), added, self.outputs, {**variables}),
        )
        self.process.start()

    def text(self) -> str:
        """Return what was printed so far."""
        return "".join(path.read_text() for path in self.outputs if path.is_file())

    def read_until(self, pattern: str) -> None:
        """Wait for what `pattern` finds."""
        end = time.monotonic() + TIMEOUT
        while not re.search(pattern, self.text()):
            running = self.process.is_alive() and time.monotonic() < end
            assert running, f"{pattern} does not come in\n{self.text()[-3000:]}"
            time.sleep(0.02)

    def finish(self, seconds: float = TIMEOUT) -> int | None:
        """Wait for the end and return the exit code; kill the process after `seconds`."""
        self.process.join(max(0, seconds))
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


def run_tool(
    name: str,
    *arguments: object,
    cwd: Path | None = None,
    python_path: Path | None = None,
    processes: int = 1,
) -> subprocess.CompletedProcess:
    """Run tools/`name` in the folder `cwd` to its end, and return what it printed and its code.

    More than one process are a group; all their output is returned together.
    """
    started = [
        Tool(name, *arguments, cwd=cwd, python_path=python_path, variables=variables)
        for variables in group_variables(processes)
    ]
    end = time.monotonic() + TIMEOUT
    codes = [tool.finish(end - time.monotonic()) for tool in started]
    code = next((code for code in codes if code), 0)
    outputs = [
        "".join(path.read_text() for path in streams)
        for streams in zip(*(tool.outputs for tool in started), strict=True)
    ]
    return subprocess.CompletedProcess(started[0].command, code, *outputs)


def call_tool(name: str, *arguments: object) -> str | int | None:
    """Run tools/`name` in this process; return its exit code, the text of its error, or None."""
    with mock.patch.object(sys, "argv", [name, *map(str, arguments)]):
        try:
            runpy.run_path(str(TOOLS / name), run_name="__main__")
        except SystemExit as stop:
            return stop.code
    return None


def run(folder: Path, tool: str, *args: str, expect: int = 0, **options: Any) -> str:
    """Run tools/`tool` in `folder`, and return what it printed if it ended with code `expect`."""
    result = run_tool(tool, *args, cwd=folder, **options)
    output = result.stdout + result.stderr
    assert result.returncode == expect, output[-3000:]
    return output


def group_variables(processes: int) -> list[dict[str, str]]:
    """Return the environment that torchrun gives to each process, none to a single one."""
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
    torch.set_num_threads(1)  # as torchrun does; tests run side by side
    runpy.run_path(command[0], run_name="__main__")
