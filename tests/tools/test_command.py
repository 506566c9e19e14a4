"""The `segnext` command of an installed package: its tools and the configs that it carries."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from run_tool import run_tool

ROOT = Path(__file__).parents[2]
TINY = "segnext.tiny.512x512.ade.160k"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the packages as a wheel has them."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def files(folder: Path) -> set[str]:
    paths = [path for kind in ("py", "csv", "html") for path in folder.rglob(f"*.{kind}")]
    return {str(path.relative_to(folder)) for path in paths}


def test_an_installed_package_carries_every_tool_and_every_config(installed):
    assert files(installed / "mmseg") == files(ROOT / "mmseg")
    assert files(installed / "segnext/local_configs") == files(ROOT / "local_configs")
    carried = {name for name in files(installed / "segnext") if "local_configs" not in name}
    assert carried == files(ROOT / "tools")


@pytest.mark.parametrize("name", [TINY, f"local_configs/segnext/tiny/{TINY}.py"])
def test_a_shipped_config_is_found_by_the_end_of_its_path(installed, tmp_path, name):
    arguments = ("print_config", name, "--dialect")
    command = str(installed / "segnext/__main__.py")
    result = run_tool(command, *arguments, cwd=tmp_path, python_path=installed)
    assert result.returncode == 0, result.stderr
    assert f"# {installed}/segnext/local_configs/segnext/tiny/{TINY}.py is in" in result.stdout
    assert "depths=(\n" in result.stdout


def test_a_file_of_one_s_own_goes_before_a_shipped_config_of_its_name(tmp_path):
    (tmp_path / f"{TINY}.py").write_text("work_dir = 'mine'\n")
    result = run_tool("print_config.py", f"{TINY}.py", cwd=tmp_path)
    assert result.stdout == "work_dir = 'mine'\n"


@pytest.fixture
def segnext(monkeypatch, capsys):
    """Call the command in this process; return its output or its error."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["segnext", *arguments])
        try:
            runpy.run_path(str(ROOT / "tools/__main__.py"), run_name="__main__")
        except SystemExit as error:
            return str(error)
        return capsys.readouterr().out

    return call


def test_the_help_lists_every_command_with_what_it_does(segnext):
    for arguments in ((), ("--help",)):
        output = segnext(*arguments)
        assert re.search(r"^  train +Train a segmentor$", output, re.M)
        assert re.search(r"^  map +Map orthophotos of any size$", output, re.M)
        assert "common" not in output


def test_an_unknown_command_ends_with_one_line_that_lists_the_known_ones(segnext):
    assert re.fullmatch(r"error: tran: no such command; there are .*train", segnext("tran"))
