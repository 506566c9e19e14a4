"""The map of a scene and the files beside it."""

import csv
import xml.etree.ElementTree as xml

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from scenes import (
    CLASSES,
    PALETTE,
    TRANSFORM,
    ColourModel,
    make_context_model,
    make_ids,
    map_pixels,
    paint,
    read,
    read_probabilities,
    write_scene,
)

from mmseg.raster import MapOptions, map_scene


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


def test_the_map_has_the_classes_of_the_pixels_and_the_place_of_the_scene(colour_model, tmp_path):
    ids = make_ids(150, 90)
    result = map_pixels(colour_model, tmp_path, paint(ids))
    with rasterio.open(result.path) as raster:
        assert (raster.read(1) == ids).all()
        assert raster.dtypes == ("uint8",)
        assert raster.crs.to_epsg() == 2180
        assert raster.transform == TRANSFORM
        assert raster.nodata == 255
        table = raster.colormap(1)
        assert [table[i][:3] for i in range(3)] == PALETTE
        tags = raster.tags()
        assert [tags[f"CLASS_{i}"] for i in range(3)] == list(CLASSES)
        structure = raster.tags(ns="IMAGE_STRUCTURE")
        assert (structure["LAYOUT"], structure["COMPRESSION"]) == ("COG", "DEFLATE")


def test_overviews_show_the_most_frequent_class(colour_model, tmp_path):
    ids = np.zeros((1200, 1100), np.uint8)
    ids[::4, ::4] = 2  # a quarter of a row at most; `nearest` would take these
    colour_model.data_preprocessor.size = (512, 512)
    result = map_pixels(colour_model, tmp_path, paint(ids))
    with rasterio.open(result.path) as raster:
        assert raster.overviews(1) == [2, 4]
        assert raster.block_shapes == [(512, 512)]
    with rasterio.open(result.path, overview_level=0) as overview:
        assert (overview.read(1) == 0).all()


def test_areas_style_and_preview_say_the_same_as_the_map(colour_model, tmp_path):
    ids = make_ids(150, 90)
    colour_model.dataset_meta["classes"] = classes = ("field", 'a "wood" & <more>', "water")
    map_pixels(colour_model, tmp_path, paint(ids))
    rows = list(csv.DictReader((tmp_path / "scene.areas.csv").open()))[:-1]  # the last is nodata
    counts = np.bincount(ids.ravel(), minlength=3)
    assert [row["class_name"] for row in rows] == list(classes)
    assert [int(row["pixels"]) for row in rows] == counts.tolist()
    # A pixel is half a metre wide.
    assert [float(row["hectares"]) for row in rows] == pytest.approx(counts / 40_000, abs=1e-8)
    assert sum(float(row["percent"]) for row in rows) == pytest.approx(100, abs=0.02)
    entries = xml.parse(tmp_path / "scene.landcover.qml").findall(".//paletteEntry")
    assert [(e.get("value"), e.get("label")) for e in entries] == [
        (str(i), name) for i, name in enumerate(classes)
    ]
    assert entries[1].get("color") == "#006400"
    picture = np.asarray(Image.open(tmp_path / "scene.preview.png"))
    assert (picture[24:174, 6:96] == paint(ids).transpose(1, 2, 0)).all()
    assert (picture[24:174, 172:262] == np.array(PALETTE)[ids]).all()


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (64, (64, 64)),
        (64, (40, 50)),  # reflected at the border
        (48, (48, 48)),  # padded to a multiple of 32: the padding is cut off
    ],
)
def test_a_scene_that_one_window_covers_is_mapped_as_the_model_predicts_it(
    tiny_model, tmp_path, size, shape
):
    model = make_context_model(tiny_model, size=(size, size), test_cfg={"size_divisor": 32})
    height, width = shape
    pixels = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)
    result = map_pixels(model, tmp_path, pixels, probabilities=True)
    image = torch.from_numpy(pixels).flip(0).float()
    image = torch.nn.functional.pad(image, (0, size - width, 0, size - height), mode="reflect")
    data = {"inputs": [image], "data_samples": [None]}
    x = torch.stack(model.data_preprocessor(data)["inputs"])
    assert x.shape == (1, 3, 64, 64)
    with torch.no_grad():
        expected = model.full_logits(x)[0, :, :height, :width].softmax(0).numpy()
    assert np.abs(read_probabilities(tmp_path) - expected).max() < 0.003
    assert (read(result.path) == expected.argmax(0)).all()


@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_away_from_the_cut_two_halves_equal_the_whole(tiny_model, tmp_path, overlap):
    model = make_context_model(tiny_model)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 330, 64), dtype=np.uint8)
    cut = 2 * int(64 * (1 - overlap))  # two strides: both halves have the windows of the whole
    maps = []
    for part in (pixels, pixels[:, : cut + 128], pixels[:, cut:]):
        result = map_pixels(model, tmp_path, part, overlap=overlap, probabilities=True)
        maps.append((read_probabilities(tmp_path), read(result.path)))
    (whole, ids), (upper, _), (lower, lower_ids) = maps
    assert len(np.unique(ids)) > 1
    assert np.abs(upper[:, :cut] - whole[:, :cut]).max() <= 1.01 / 254
    inner = 64  # one window of context
    assert np.abs(lower[:, inner:] - whole[:, cut + inner :]).max() <= 1.01 / 254
    assert (lower_ids[inner:] == ids[cut + inner :]).mean() > 0.999


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (20, 7)])
def test_a_scene_smaller_than_a_window_is_mapped(colour_model, tmp_path, shape):
    ids = make_ids(*shape, block=4)
    assert (read(map_pixels(colour_model, tmp_path, paint(ids)).path) == ids).all()


def test_a_finer_scene_is_seen_at_the_models_resolution_and_mapped_on_its_own_grid(
    colour_model, tmp_path
):
    ids = make_ids(200, 220, block=20)
    result = map_pixels(colour_model, tmp_path, paint(ids), gsd=2.0)
    with rasterio.open(result.path) as raster:
        assert raster.transform == TRANSFORM
        assert raster.shape == ids.shape
        assert (raster.read(1) == ids).mean() > 0.9
    # 4 x fewer pixels on each side: windows of 128 every 96 pixels.
    assert colour_model.windows == 4


@pytest.mark.parametrize(("batch_size", "largest"), [(None, 1), (3, 3)])
def test_a_batch_is_one_window_on_a_cpu_or_as_many_as_asked(
    colour_model, tmp_path, monkeypatch, batch_size, largest
):
    sizes, ids, full_logits = set(), make_ids(150, 200), colour_model.full_logits

    def counted(x):
        sizes.add(len(x))
        return full_logits(x)

    monkeypatch.setattr(colour_model, "full_logits", counted)
    result = map_pixels(colour_model, tmp_path, paint(ids), batch_size=batch_size)
    assert max(sizes) == largest
    assert (read(result.path) == ids).all()


def test_a_model_of_half_precision_maps_too(tmp_path):
    model = ColourModel().bfloat16()
    model.full_logits = lambda x: model.gain.float() * x
    ids = make_ids(40, 40)
    assert (read(map_pixels(model, tmp_path, paint(ids)).path) == ids).all()


def test_a_run_leaves_its_finished_products_and_nothing_of_an_earlier_map(
    colour_model, tmp_path, log
):
    scene = write_scene(tmp_path, paint(make_ids(40, 40)))
    map_scene(colour_model, scene, tmp_path, MapOptions(vectors="gpkg", probabilities=True))
    for name in ("scene.landcover.tif.aux.xml", "scene.probabilities.tif.ovr"):
        (tmp_path / name).touch()  # as QGIS does
    map_scene(colour_model, scene, tmp_path)
    kinds = ("areas.csv", "landcover.qml", "landcover.tif", "landcover.tif.aux.xml", "preview.png")
    expected = [*(f"scene.{kind}" for kind in kinds), "scene.tif"]
    assert sorted(path.name for path in tmp_path.iterdir()) == expected
    assert "scene.landcover.gpkg of an earlier map is removed" in log.read()
