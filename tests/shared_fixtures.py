"""What the tests share: tiny models, tiny data and the folder of real data."""

import gc
import io
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# As the tools do; see tools/common.py.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
# Triton's kernels run in its interpreter where there is no GPU. It looks when it is imported, which
# torch may do.
if not os.path.exists("/dev/nvidiactl"):
    os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from PIL import Image
from run_tool import call_tool, run
from tiny_project import write_project

from mmseg.files import sole_process

torch.set_num_threads(1)  # tests run side by side

# Found where the tests are run in the project's folder; elsewhere they take longer.
multiprocessing.set_forkserver_preload(["tests.preload"])


# Files whose tests take longest. They start first, in this order, so that no process works alone at
# the end. The first one compiles loops that other tests reuse.
LONG = [
    *("test_train_cli.py", "test_fuzz.py", "test_interruptions.py", "test_kill_and_resume.py"),
    "test_evaluate_cli.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """Spare the garbage collections of a file's tests what was imported; see tools/common.py."""
    gc.collect()
    gc.freeze()


# As a runner does: names of transforms mean ours first.
DefaultScope.get_instance("mmseg", scope_name="mmseg")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if "SEGNEXT_TEST_DATA" not in os.environ:
        pytest.skip("SEGNEXT_TEST_DATA is not set: no real data on this machine")
    return Path(os.environ["SEGNEXT_TEST_DATA"])


@pytest.fixture
def tiny_model() -> dict:
    """The config of a SegNeXt with 45,000 parameters and three classes, without anything random."""
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": (123.675, 116.28, 103.53),
            "std": (58.395, 57.12, 57.375),
            "bgr_to_rgb": True,
        },
        "backbone": {"type": "MSCAN", "embed_dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1)},
        "decode_head": {
            "type": "LightHamHead",
            "in_channels": (16, 24, 32),
            "channels": 32,
            "ham_channels": 32,
            "ham_kwargs": {"MD_R": 4},
            "num_classes": 3,
            "dropout_ratio": 0.0,
        },
    }


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A data set of four images, 64x48: `img_dir/<name>.jpg` and `ann_dir/<name>.png`, ids 0 to 2.

    The three classes are left, middle and right thirds of an image, dark, grey and bright.
    """
    for folder in ("img_dir", "ann_dir"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        ids = np.repeat(np.arange(64) * 3 // 64, 48).reshape(64, 48).T.astype(np.uint8)
        image = ids[..., None] * 80 + rng.integers(0, 60, (48, 64, 3))
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"img_dir/{name}.jpg")
        Image.fromarray(ids).save(tmp_path / f"ann_dir/{name}.png")
    return tmp_path


@pytest.fixture
def folder_config(image_folder: Path) -> dict:
    """`image_folder` as a data set given in a config alone; without a pipeline."""
    return {
        "type": "BaseSegDataset",
        "data_root": str(image_folder),
        "data_prefix": {"img_path": "img_dir", "seg_map_path": "ann_dir"},
        "metainfo": {
            "classes": ("field", "wood", "water"),
            "palette": [(250, 180, 60), (0, 100, 0), (0, 0, 255)],
        },
        "pipeline": [],
    }


@pytest.fixture(scope="session")
def in_two_processes() -> Callable:
    """Call `function(rank, *arguments)` in two processes of one gloo group; both results."""
    return _in_two_processes


def _in_two_processes(function: Callable, *arguments: object) -> list:
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            _member, (folder, function, arguments), nprocs=2, start_method="forkserver"
        )
        return [torch.load(f"{folder}/{rank}.pth", weights_only=False) for rank in (0, 1)]


def _member(rank: int, folder: str, function: Callable, arguments: tuple) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2
    )
    torch.save(function(rank, *arguments), f"{folder}/{rank}.pth")
    torch.distributed.destroy_process_group()


@pytest.fixture
def held_elsewhere() -> Callable:
    """A context in which another process, which it yields, holds a folder."""
    return _held_elsewhere


@contextmanager
def _held_elsewhere(folder: Path) -> Iterator[multiprocessing.Process]:
    context = multiprocessing.get_context("forkserver")
    held = context.Event()
    process = context.Process(target=_hold, args=(folder, held))
    process.start()
    assert held.wait(60)
    yield process
    process.kill()
    process.join()


def _hold(folder: Path, held: Any) -> None:
    with sole_process(folder, "trains here", "--work-dir"):
        held.set()
        time.sleep(60)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that are logged as warnings."""
    lines: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "warning", lines.append)
    return lines


@pytest.fixture
def log() -> Iterator[SimpleNamespace]:
    """`read()` returns what was logged."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield SimpleNamespace(read=stream.getvalue)
    logger.removeHandler(handler)


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
    """Run a tool in this process and in `project`; return what `call_tool` does."""
    monkeypatch.chdir(project)
    return call_tool
