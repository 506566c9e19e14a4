"""A trained project, which the tests of the tools share."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from run_tool import TOOLS, run
from tiny_project import write_project


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A folder with data, a config, and a work directory of a run of four iterations."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder)
    (folder / "circle.py").write_text('_base_ = "./circle.py"\n')
    run(folder, "train.py", "tiny.py")
    return folder


@pytest.fixture
def call(project, monkeypatch) -> Callable[..., str | int | None]:
    """Run a tool in this process; return its exit code, the text of its error, or None."""

    def call(tool: str, *args: str) -> str | int | None:
        monkeypatch.chdir(project)
        monkeypatch.syspath_prepend(str(TOOLS))
        monkeypatch.setattr(sys, "argv", [tool, *args])
        try:
            runpy.run_path(str(TOOLS / tool), run_name="__main__")
        except SystemExit as stop:
            return stop.code
        return None

    return call
