"""Rivals for our import names, and life without torchvision and timm."""

import os
import platform
import subprocess
import sys

import pytest
from run_tool import run

from mmseg import environment
from mmseg.environment import check_environment, hide_broken_torchvision


@pytest.fixture
def installed(monkeypatch):
    """Pretend that only the named distributions are installed."""

    def install(*names):
        def distributions(name):
            return [name] if name in names else []

        monkeypatch.setattr(environment, "distributions", distributions)

    return install


def test_environment_without_rivals_is_accepted(installed):
    installed("segnext", "onedl-mmcv", "onedl-mmengine", "torch")
    check_environment()


AGAIN = " && pip install --force-reinstall --no-deps onedl-mmcv"


@pytest.mark.parametrize(
    ("rival", "again"),
    [
        *(("mmsegmentation", ""), ("onedl-mmsegmentation", "")),
        *((name, AGAIN) for name in ("mmcv", "mmcv-full", "mmcv-lite")),
    ],
)
def test_a_rival_is_named_with_what_to_uninstall_and_install_again(installed, rival, again):
    installed("segnext", "onedl-mmcv", rival)
    with pytest.raises(ImportError) as error:
        check_environment()
    assert f"{rival} and SegNeXt use the same import names" in str(error.value)
    assert f"`pip uninstall -y {rival}{again}`" in str(error.value)
    assert "\n" not in str(error.value)


def test_all_rivals_are_named_at_once(installed):
    installed("mmsegmentation", "mmcv-full", "mmengine")
    with pytest.raises(ImportError, match="-y mmsegmentation mmcv-full mmengine && ") as error:
        check_environment()
    assert "onedl-mmcv onedl-mmengine`" in str(error.value)


@pytest.mark.parametrize(
    ("content", "stays"), [("raise RuntimeError('no operator nms')", False), ("", True)]
)
def test_only_a_torchvision_that_works_stays(tmp_path, monkeypatch, content, stays):
    (tmp_path / "torchvision.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    # Whatever was there comes back after the test.
    monkeypatch.setitem(sys.modules, "torchvision", None)
    del sys.modules["torchvision"]
    hide_broken_torchvision()
    assert (sys.modules["torchvision"] is not None) == stays


WITHOUT = """
import sys
for name in ("torchvision", "timm", "mmcv._ext"):
    assert name not in sys.modules
    sys.modules[name] = None
import torch
import mmseg.datasets, mmseg.engine, mmseg.evaluation
from mmseg.config import load_config
from mmseg.models import MSCAN
stages = MSCAN(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1))(torch.zeros(1, 3, 64, 64))
print(*(tuple(stage.shape) for stage in stages))
assert "mmseg.ops.numba_class_map" not in sys.modules
"""


def test_package_works_without_torchvision_timm_and_compiled_mmcv_and_numba_waits(tmp_path):
    (tmp_path / "without.py").write_text(WITHOUT)
    shapes = "(1, 8, 16, 16) (1, 16, 8, 8) (1, 24, 4, 4) (1, 32, 2, 2)"
    assert shapes in run(tmp_path, str(tmp_path / "without.py"))


SET_UP = """
import os, sys
from mmseg.environment import setup_process
setup_process()
sys.stdout.write(" ".join(os.environ.get(name, "") for name in sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("given", "spins", "level"),
    [
        ({}, "5000", "ERROR"),
        ({"GOMP_SPINCOUNT": "7", "OPENCV_LOG_LEVEL": "INFO"}, "7", "INFO"),
        ({"OMP_WAIT_POLICY": "passive"}, "", "ERROR"),
    ],
)
def test_a_tool_sets_threads_and_logs_up_unless_the_user_has(given, spins, level):
    names = ("GOMP_SPINCOUNT", "OPENCV_LOG_LEVEL", "OMP_WAIT_POLICY")
    variables = {key: value for key, value in os.environ.items() if key not in names}
    command = [sys.executable, "-c", SET_UP, *names[:2]]
    result = subprocess.run(command, env={**variables, **given}, capture_output=True, text=True)
    assert result.stdout == f"{spins} {level}", result.stderr


KEPT_BYTES = """
import resource, sys
from pathlib import Path
import numpy as np
from mmseg.environment import keep_freed_memory, keep_memory_of_images
{function}
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
before = resident()
maps = [np.ones({size}, np.uint8) for _ in range({count})]
del maps
sys.stdout.write(str(resident() - before))
"""


def kept_bytes(function: str, count: int, size: int, **variables: str) -> int:
    """Bytes a process keeps of `count` arrays, freed, after it has called `function`."""
    script = KEPT_BYTES.format(function=function, count=count, size=size)
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")
@pytest.mark.parametrize(("variable", "kept"), [("HOME", True), ("MALLOC_ARENA_MAX", False)])
def test_freed_memory_is_kept_unless_malloc_is_configured(variable, kept):
    assert (kept_bytes("keep_freed_memory()", 1, 2**26, **{variable: "1"}) > 2**25) == kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")
def test_the_memory_of_an_image_is_kept_where_malloc_is_as_it_comes():
    assert kept_bytes("keep_memory_of_images()", 6, 2**22) > 20e6
    assert kept_bytes("", 6, 2**22) < 10e6
    assert kept_bytes("keep_memory_of_images()", 6, 2**22, MALLOC_TRIM_THRESHOLD_="131072") < 10e6
