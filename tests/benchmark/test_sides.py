"""Who can be measured against whom, and with what."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg.benchmark import files, settings
from mmseg.benchmark.files import draw_scene, place_data
from mmseg.benchmark.settings import Settings, own_path
from mmseg.benchmark.sides import Side, peer_sides, plain_sides, prepare_config, set_crop_size
from mmseg.benchmark.workers.protocol import versions_of
from mmseg.config import load_config
from mmseg.errors import UserError
from mmseg.registry import DATASETS

CONFIGS = Path(__file__).parents[2] / "local_configs/segnext"


def ours(**switches: object) -> Side:
    job = {"weights": "w.pth", "num_classes": 150, "nmf_rank": 64, "amp": None, "compile": False}
    return Side("ours", [], {**job, **switches})


def test_an_encoder_is_given_no_key_that_its_config_lacks():
    config = load_config(CONFIGS / "tiny/segnext.tiny.512x512.ade.160k.py")
    assert "init_cfg" in config.model.backbone
    assert "init_cfg" not in prepare_config(config, Settings("cpu", 1)).model.backbone


@pytest.fixture
def peer_python(tmp_path) -> str:
    """A python that says it has the peer."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\necho 1.4.3\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("size", ["tiny", "small", "base", "large"])
def test_the_peer_has_a_config_of_each_size(size, peer_python):
    config = load_config(CONFIGS / size / f"segnext.{size}.512x512.ade.160k.py")
    (peer,) = peer_sides(config, ours(), peer_python)
    assert peer.job["size_letter"] == size[0]
    assert peer.job["weights"] == "w.pth"
    assert peer.command[0] == peer_python
    assert Path(peer.command[1]).is_file()
    assert "rank 16 in all sizes, ours 64" in peer.notes[0]
    assert "not 1.4.3" in peer.notes[1]


def test_with_a_switch_the_peer_runs_as_it_comes_and_with_the_same(peer_python):
    config = load_config(CONFIGS / "tiny/segnext.tiny.512x512.ade.160k.py")
    sides = peer_sides(config, ours(amp="bf16", compile=True), peer_python)
    assert [side.label for side in sides] == ["onedl, float32", "onedl, bf16, compiled"]


def test_our_worker_finds_what_the_tool_found(monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert own_path() == str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", f"/one{os.pathsep}/two")
    assert own_path().split(os.pathsep) == [str(Path(__file__).parents[2]), "/one", "/two"]


def test_versions_are_those_of_packages_that_are_there():
    assert list(versions_of("numpy", "no-such-package")) == ["python", "torch", "numpy"]


@pytest.mark.parametrize("compile", [False, True])
def test_the_plain_paths_are_measured_eager_and_compiled_if_ours_are(tmp_path, compile):
    config = load_config(CONFIGS / "tiny/segnext.tiny.512x512.ade.160k.py")
    settings = Settings("cpu", 1, compile=compile)
    labels = [side.label for side in plain_sides(config, settings, tmp_path)]
    assert labels == ["plain, float32", "plain, float32, compiled"][: 1 + compile]
    assert "fast_ops = False" in (tmp_path / "plain.py").read_text()


@pytest.mark.parametrize(
    ("python", "name", "message"),
    [
        (None, "ade.160k", "name the python"),
        ("/nowhere/python", "ade.160k", "/nowhere/python: cannot be run"),
        (sys.executable, "ade.160k", "has no onedl-mmsegmentation; install"),
        ("peer", "voc.40k", "is not of SegNeXt on ADE20K"),
    ],
)
def test_what_stands_against_the_peer_is_told(python, name, message, peer_python):
    config = load_config(CONFIGS / f"tiny/segnext.tiny.512x512.{name}.py")
    with pytest.raises(UserError, match=message):
        peer_sides(config, ours(), peer_python if python == "peer" else python)


def test_the_crop_size_reaches_wrapped_data_sets():
    def dataset() -> dict:
        return {"pipeline": [{"type": "Load"}, {"type": "RandomCrop", "crop_size": (512, 512)}]}

    wrapped = {"dataset": {"datasets": [dataset(), dataset()]}}
    set_crop_size(wrapped, (64, 96))
    for inner in wrapped["dataset"]["datasets"]:
        assert inner["pipeline"] == [
            {"type": "Load"},
            {"type": "RandomCrop", "crop_size": (64, 96)},
        ]


def test_processes_get_the_same_threads_and_the_allocator_asked_for(monkeypatch):
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    default = Settings("cpu", threads=3).environment()
    tuned = Settings("cpu", threads=3, malloc="tuned").environment()
    for environment in (default, tuned):
        assert environment["OMP_NUM_THREADS"] == "3"
        assert "OMP_WAIT_POLICY" not in environment
        assert environment["PATH"] == os.environ["PATH"]
        assert "PYTHONPATH" not in environment
    assert not [name for name in default if name.startswith("MALLOC_")]
    assert tuned["MALLOC_MMAP_MAX_"] == "0"
    assert tuned["MALLOC_TOP_PAD_"] == str(256 * 2**20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "cuda:99"}, "device cuda:99: torch sees"),
        ({"device": "gpu"}, "--device gpu: give"),
        ({"runs": 0}, "--runs"),
        ({"batches": [2, 0]}, "--batch"),
        ({"size": (16, 64)}, "--size"),
        ({"amp": "fp16"}, "--amp fp16: Abacus does not compute in it"),
    ],
)
def test_settings_that_cannot_be_are_told(arguments, message, monkeypatch):
    monkeypatch.setattr(settings, "cpu_computes_in", lambda amp: False)
    monkeypatch.setattr(settings, "device_name", lambda device: "Abacus")
    with pytest.raises(UserError, match=message):
        Settings(**{"device": "cpu", "threads": 1, **arguments})


@pytest.mark.parametrize("name", ["ade.160k", "landcover.40k_weight"])
def test_drawn_files_are_a_data_set_of_the_config(name, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "TRAIN_IMAGES", 2)
    monkeypatch.setattr(files, "TEST_IMAGES", 1)
    monkeypatch.chdir(tmp_path)
    config = load_config(CONFIGS / f"tiny/segnext.tiny.512x512.{name}.py")
    assert place_data(config, tmp_path / "drawn").startswith("drawn 683x512 JPEGs")
    for split in ("train", "test"):
        dataset = DATASETS.build(config[f"{split}_dataloader"].dataset)
        sample = dataset[0]["data_samples"]
        assert sample.gt_sem_seg.data.max() < len(dataset.metainfo["classes"])
        assert tuple(sample.ori_shape) == (512, 683)


def test_files_of_the_config_are_taken_where_they_are(tmp_path, monkeypatch):
    config = load_config(CONFIGS / "tiny/segnext.tiny.512x512.ade.160k.py")
    root = config.train_dataloader.dataset.data_root
    (tmp_path / root).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert place_data(config, tmp_path / "drawn") == f"the files of {root}"
    assert config.test_dataloader.dataset.data_root == str(tmp_path / root)
    assert not (tmp_path / "drawn").exists()


def test_drawn_images_are_as_large_as_ade20k_s():
    image, ids = draw_scene(0, 150)
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, files.JPEG_QUALITY])[1]
    assert 150_000 < len(jpeg) < 190_000
    assert image.shape == (512, 683, 3)
    assert len(np.unique(ids)) > 15
    assert np.array_equal(draw_scene(0, 150)[1], ids)
