"""Interruptions, other jobs, other scenes, full disks, several processes."""

import json
import os
import resource
import signal

import numpy as np
import pytest
import rasterio
import torch
from scenes import PALETTE, ColourModel, make_context_model, make_ids, paint, read, write_scene

from mmseg.errors import UserError
from mmseg.raster import MapOptions, map_scene
from mmseg.raster.strips import UnfinishedMap


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path, paint(make_ids(64, 64)))


def interrupt_mapping(model, scene, out, options=None, rows=1) -> None:
    """Map a scene until so many rows of windows are predicted."""

    def stop(done: int, total: int) -> None:
        stop.rows += 1
        if stop.rows == rows:
            raise KeyboardInterrupt

    stop.rows = 0

    with pytest.raises(KeyboardInterrupt):
        map_scene(model, scene, out, options, progress=stop)


def is_mapped_anew(model, scene, out, options=None) -> bool:
    windows = model.windows
    map_scene(model, scene, out, options)
    return model.windows > windows


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(tiny_model, tmp_path, monkeypatch):
    context_model = make_context_model(tiny_model)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 300, 64), dtype=np.uint8)
    scene = write_scene(tmp_path, pixels)
    options = MapOptions(probabilities=True)
    map_scene(context_model, scene, tmp_path / "once", options)
    interrupt_mapping(context_model, scene, tmp_path / "twice", options, rows=3)
    assert not list((tmp_path / "twice").glob("*.tif"))
    written = []

    def write(self, index, arrays):
        written.append(index)
        original(self, index, arrays)

    original = UnfinishedMap.write
    monkeypatch.setattr(UnfinishedMap, "write", write)
    map_scene(context_model, scene, tmp_path / "twice", options)
    assert written[0] >= 2 and written[-1] == 5
    names = [path.name for path in sorted((tmp_path / "once").iterdir())]
    assert [path.name for path in sorted((tmp_path / "twice").iterdir())] == names
    for name in names:
        once, twice = ((tmp_path / folder / name).read_bytes() for folder in ("once", "twice"))
        assert once == twice, name


def test_a_scene_is_mapped_into_a_folder_by_one_process(
    colour_model, scene, tmp_path, held_elsewhere
):
    unfinished = tmp_path / "out/.scene.unfinished"
    with held_elsewhere(unfinished) as holder:
        (unfinished / "job.json").write_text("another job, damaged")
        message = rf"scene.unfinished: process {holder.pid} .* maps this scene; .* another --out"
        with pytest.raises(UserError, match=message):
            map_scene(colour_model, scene, tmp_path / "out")
        assert (unfinished / "job.json").read_text() == "another job, damaged"
    result = map_scene(colour_model, scene, tmp_path / "out")
    assert (read(result.path) == make_ids(64, 64)).all()
    assert not unfinished.exists()


@pytest.mark.parametrize("other", ["model", "options", "version", "engine", "threads", "batch"])
def test_an_unfinished_map_of_another_job_is_thrown_away_and_the_log_says_why(
    colour_model, scene, tmp_path, log, monkeypatch, other
):
    interrupt_mapping(colour_model, scene, tmp_path)
    unfinished = tmp_path / ".scene.unfinished"
    assert list(unfinished.glob("*.tif"))
    if other == "version":
        job = json.loads((unfinished / "job.json").read_text())
        (unfinished / "job.json").write_text(json.dumps(job | {"version": "0.0.1"}))
    if other == "model":
        colour_model.gain.data *= -1
    if other == "engine":
        colour_model.runs_in = "openvino 2026.4, threads: 2"
    if other == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    options = MapOptions(
        nodata=255 if other == "options" else None, batch_size=2 if other == "batch" else None
    )
    locked = []

    def look(done: int, total: int) -> None:
        locked.append((unfinished / ".lock").is_file())

    result = map_scene(colour_model, scene, tmp_path, options, progress=look)
    assert len(locked) == 3 and all(locked)  # all strips; the lock is not thrown away with them
    assert (read(result.path) == make_ids(64, 64)).all() == (other != "model")
    differing = {"options": "scene, options", "threads": "engine", "batch": "engine"}.get(
        other, other
    )
    assert f"is mapped anew, because its job.json differs in: {differing}\n" in log.read()


def test_a_finished_map_is_kept_and_a_changed_job_maps_anew(colour_model, scene, tmp_path):
    result = map_scene(colour_model, scene, tmp_path)
    before = os.stat(result.path).st_mtime_ns
    for name in ("scene.tif.aux.xml", "scene.tif.ovr"):  # which viewers leave beside a scene
        (tmp_path / name).write_text("<PAMDataset></PAMDataset>" if "xml" in name else "")
    assert not is_mapped_anew(colour_model, scene, tmp_path)
    colour_model.runs_in = "another engine"
    assert not is_mapped_anew(colour_model, scene, tmp_path)
    assert not is_mapped_anew(colour_model, scene, tmp_path, MapOptions(batch_size=3))
    assert os.stat(result.path).st_mtime_ns == before
    options = MapOptions(overlap=0.5)
    assert is_mapped_anew(colour_model, scene, tmp_path, options)
    colour_model.gain.data += 1
    assert is_mapped_anew(colour_model, scene, tmp_path, options)
    colour_model.dataset_meta = {"classes": ("meadow", "wood", "water"), "palette": PALETTE}
    assert is_mapped_anew(colour_model, scene, tmp_path, options)
    assert "meadow" in (tmp_path / "scene.areas.csv").read_text()


def test_the_unfinished_rest_of_a_finished_map_goes(colour_model, scene, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # as a kill does
        patch.setattr(UnfinishedMap, "clear", lambda self: None)
        map_scene(colour_model, scene, tmp_path / "out")
    assert (tmp_path / "out/.scene.unfinished/job.json").is_file()
    assert not is_mapped_anew(colour_model, scene, tmp_path / "out")
    assert not (tmp_path / "out/.scene.unfinished").exists()


def test_a_scene_of_the_same_name_does_not_replace_a_map(colour_model, tmp_path):
    for year, seed in (("2023", 0), ("2024", 1)):
        (tmp_path / year).mkdir()
        write_scene(tmp_path / year, paint(make_ids(64, 64, seed)))
    interrupt_mapping(colour_model, tmp_path / "2023/scene.tif", tmp_path / "out")
    with pytest.raises(UserError, match=r"is the unfinished map of \S+/2023/scene\.tif; choose"):
        map_scene(colour_model, tmp_path / "2024/scene.tif", tmp_path / "out")
    first = map_scene(colour_model, tmp_path / "2023/scene.tif", tmp_path / "out")
    with pytest.raises(
        UserError, match=r"landcover\.tif: is the map of another scene of this name"
    ):
        map_scene(colour_model, tmp_path / "2024/scene.tif", tmp_path / "out")
    assert (read(first.path) == make_ids(64, 64, 0)).all()
    assert not (tmp_path / "out/.scene.unfinished").exists()
    assert str(tmp_path).encode() not in first.path.read_bytes()


def test_a_changed_sheet_of_a_virtual_raster_is_mapped_anew(colour_model, scene, tmp_path):
    rasterio.shutil.copy(scene, tmp_path / "virtual.vrt", driver="VRT")
    map_scene(colour_model, tmp_path / "virtual.vrt", tmp_path / "out")
    changed = make_ids(64, 64, seed=1)
    write_scene(tmp_path, paint(changed))
    result = map_scene(colour_model, tmp_path / "virtual.vrt", tmp_path / "out")
    assert (read(result.path) == changed).all()


@pytest.mark.parametrize("room", [0.3, 0.97])
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    colour_model, tmp_path, room
):
    scene = write_scene(tmp_path, paint(make_ids(700, 600, block=1)))
    colour_model.data_preprocessor.size = (256, 256)
    whole = map_scene(colour_model, scene, tmp_path / "once").path.read_bytes()
    windows = colour_model.windows
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk, writing beyond the limit fails; here at different moments for each `room`.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(len(whole) * room), limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot be written .* room and start again") as caught:
            map_scene(colour_model, scene, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").glob("scene*"))
    result = map_scene(colour_model, scene, tmp_path / "out")
    assert result.path.read_bytes() == whole
    assert colour_model.windows <= 2 * windows  # no strip was made twice
