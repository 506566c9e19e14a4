"""Scenes in, maps out: places, colours, nodata, interruptions, and scenes of every kind."""

import csv
import json
import os
import resource
import shutil
import signal
import xml.etree.ElementTree as xml

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import torch
from mmengine.config import Config
from PIL import Image
from rasterio import Affine
from rasterio.crs import CRS
from scenes import (
    CLASSES,
    PALETTE,
    TRANSFORM,
    WINDOW,
    ColourModel,
    make_ids,
    paint,
    read,
    write_scene,
)

from mmseg.errors import UserError
from mmseg.models import EncoderDecoder
from mmseg.raster import MapOptions, map_scene
from mmseg.raster.strips import Workshop
from mmseg.registry import MODELS

DEGREES = Affine(1e-5, 0, 20, 0, -1e-5, 52)


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


@pytest.fixture
def context_model(tiny_model: dict) -> EncoderDecoder:
    """A SegNeXt with random weights: what it says of a pixel depends on the whole window."""
    torch.manual_seed(0)
    tiny_model["data_preprocessor"]["size"] = (2 * WINDOW, 2 * WINDOW)
    model = MODELS.build(tiny_model)
    # Spread the classes: untrained, the model would call every pixel by the same one.
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=3.0)
    model.cfg = Config({"model": tiny_model})
    model.dataset_meta = {"classes": CLASSES, "palette": PALETTE}
    return model.eval()


def test_the_map_has_the_classes_of_the_pixels_and_the_place_of_the_scene(colour_model, tmp_path):
    ids = make_ids(150, 90)
    result = map_scene(colour_model, write_scene(tmp_path, paint(ids)), tmp_path / "out")
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
    ids[::4, ::4] = 2  # one of four pixels at most, but what `nearest` would take
    colour_model.data_preprocessor.size = (512, 512)
    result = map_scene(colour_model, write_scene(tmp_path, paint(ids)), tmp_path / "out")
    with rasterio.open(result.path) as raster:
        assert raster.overviews(1) == [2, 4]
        assert raster.block_shapes == [(512, 512)]
    with rasterio.open(result.path, overview_level=0) as overview:
        assert (overview.read(1) == 0).all()


def test_a_run_leaves_the_finished_products_and_nothing_else(colour_model, tmp_path):
    scene = write_scene(tmp_path, paint(make_ids(60, 80)))
    map_scene(colour_model, scene, tmp_path / "out", MapOptions(probabilities=True))
    names = {"landcover.tif", "landcover.qml", "areas.csv", "preview.png", "probabilities.tif"}
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {f"scene.{name}" for name in names}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["scene.tif"]


def test_areas_style_and_preview_say_what_the_map_says(colour_model, tmp_path):
    ids = make_ids(150, 90)
    map_scene(colour_model, write_scene(tmp_path, paint(ids)), tmp_path)
    rows = list(csv.DictReader((tmp_path / "scene.areas.csv").open()))
    counts = np.bincount(ids.ravel(), minlength=3)
    assert [row["class_name"] for row in rows] == list(CLASSES)
    assert [int(row["pixels"]) for row in rows] == counts.tolist()
    # A pixel is half a metre wide.
    assert [float(row["hectares"]) for row in rows] == pytest.approx(counts / 40_000, abs=1e-4)
    assert sum(float(row["percent"]) for row in rows) == pytest.approx(100, abs=0.02)
    entries = xml.parse(tmp_path / "scene.landcover.qml").findall(".//paletteEntry")
    assert [(e.get("value"), e.get("label")) for e in entries] == [
        (str(i), name) for i, name in enumerate(CLASSES)
    ]
    assert entries[1].get("color") == "#006400"
    picture = np.asarray(Image.open(tmp_path / "scene.preview.png"))
    assert (picture[:150, :90] == paint(ids).transpose(1, 2, 0)).all()
    assert (picture[:150, 94:184] == np.array(PALETTE)[ids]).all()


def test_probabilities_are_those_of_the_model(colour_model, tmp_path):
    ids = make_ids(70, 90)
    scene = write_scene(tmp_path, paint(ids))
    map_scene(colour_model, scene, tmp_path, MapOptions(probabilities=True))
    image = torch.from_numpy(paint(ids)).float()
    expected = (colour_model.gain * (image - 120) / 60).softmax(0).detach().numpy()
    with rasterio.open(tmp_path / "scene.probabilities.tif") as raster:
        found = raster.read() * np.array(raster.scales)[:, None, None]
        assert raster.descriptions == CLASSES
        assert raster.nodata == 255
    assert np.abs(found - expected).max() < 0.003


def test_padding_of_the_model_is_no_part_of_its_windows(tiny_model, tmp_path):
    size = (WINDOW + 16, WINDOW + 16)  # no multiple of 32
    tiny_model["data_preprocessor"] |= {"size": size, "test_cfg": {"size_divisor": 32}}
    model = MODELS.build(tiny_model).eval()
    model.cfg = Config({"model": tiny_model})
    model.dataset_meta = {"classes": CLASSES, "palette": PALETTE}
    pixels = np.random.default_rng(0).integers(0, 256, (3, *size), dtype=np.uint8)
    map_scene(model, write_scene(tmp_path, pixels), tmp_path, MapOptions(probabilities=True))
    image = torch.from_numpy(pixels[::-1].copy())
    x = model.data_preprocessor({"inputs": [image], "data_samples": [None]})["inputs"][0]
    assert x.shape == (3, 64, 64)
    expected = model.full_logits(x[None])[0, :, : size[0], : size[1]].softmax(0).detach().numpy()
    with rasterio.open(tmp_path / "scene.probabilities.tif") as raster:
        found = raster.read() * np.array(raster.scales)[:, None, None]
    assert np.abs(found - expected).max() < 0.003


@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_away_from_the_cut_two_halves_equal_the_whole(context_model, tmp_path, overlap):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 330, 64), dtype=np.uint8)
    options = MapOptions(overlap=overlap, probabilities=True)
    stride = int(64 * (1 - overlap))
    cut = 2 * stride  # where the second half begins: both have the windows of the whole
    halves = {"whole": pixels, "upper": pixels[:, : cut + 128], "lower": pixels[:, cut:]}
    maps = {}
    for name, half in halves.items():
        scene = write_scene(tmp_path, half, f"{name}.tif")
        map_scene(context_model, scene, tmp_path, options)
        with rasterio.open(tmp_path / f"{name}.probabilities.tif") as raster:
            maps[name] = raster.read().astype(int), read(tmp_path / f"{name}.landcover.tif")
    whole, ids = maps["whole"]
    assert len(np.unique(ids)) > 1
    upper, _ = maps["upper"]
    lower, lower_ids = maps["lower"]
    assert np.abs(upper[:, :cut] - whole[:, :cut]).max() <= 1
    inner = 64  # one window of context
    assert np.abs(lower[:, inner:] - whole[:, cut + inner :]).max() <= 1
    assert (lower_ids[inner:] == ids[cut + inner :]).mean() > 0.999


@pytest.mark.parametrize("shape", [(64, 64), (40, 50)])
def test_a_scene_that_one_window_covers_is_mapped_as_the_model_predicts_it_reflected(
    context_model, tmp_path, shape
):
    height, width = shape
    pixels = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)
    result = map_scene(context_model, write_scene(tmp_path, pixels), tmp_path)
    image = torch.from_numpy(pixels).flip(0).float()
    image = torch.nn.functional.pad(image, (0, 64 - width, 0, 64 - height), mode="reflect")
    data = {"inputs": [image], "data_samples": [None]}
    x = torch.stack(context_model.data_preprocessor(data)["inputs"])
    with torch.no_grad():
        expected = context_model.full_logits(x)[0].argmax(0).numpy()
    assert (read(result.path) == expected[:height, :width]).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (20, 7)])
def test_a_scene_smaller_than_a_window_is_mapped(colour_model, tmp_path, shape):
    ids = make_ids(*shape, block=4)
    result = map_scene(colour_model, write_scene(tmp_path, paint(ids)), tmp_path)
    assert (read(result.path) == ids).all()


def with_gap(ids: np.ndarray) -> np.ndarray:
    """Tell which pixels hold image: not a corner of more than a window, nor a single pixel."""
    valid = np.ones(ids.shape, bool)
    valid[:70, :80] = False
    valid[100, 100] = False
    return valid


@pytest.mark.parametrize("kind", ["alpha", "nodata", "told", "mask"])
def test_pixels_without_image_come_out_as_nodata_and_empty_windows_are_skipped(
    colour_model, tmp_path, kind
):
    ids = make_ids(150, 140)
    valid = with_gap(ids)
    pixels = paint(ids) * valid
    options, profile = MapOptions(), {}
    if kind == "alpha":
        pixels = np.concatenate([pixels, valid[None] * np.uint8(255)])
        profile = {"photometric": "RGB", "alpha": "yes"}
    if kind == "nodata":
        profile = {"nodata": 0}
    if kind == "told":
        options = MapOptions(nodata=0)
    scene = write_scene(tmp_path, pixels, **profile)
    if kind == "mask":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(scene, "r+") as raster:
            raster.write_mask(valid)
    result = map_scene(colour_model, scene, tmp_path / "out", options)
    assert (read(result.path) == np.where(valid, ids, 255)).all()
    assert result.survey.pixels.tolist() == np.bincount(ids[valid], minlength=3).tolist()
    picture = np.asarray(Image.open(tmp_path / "out/scene.preview.png"))[:150, 144:284]
    assert ((picture == 255).all(axis=2) == ~valid).all()
    # 6 x 6 windows of 32 every 24 pixels; 2 x 3 of them end before row 70 and column 80.
    assert colour_model.windows == 36 - 2 * 3


def test_only_the_area_of_interest_is_mapped(colour_model, tmp_path):
    ids = make_ids(96, 120)
    west, south, east, north = 20.0, 51.9995, 20.0005, 51.9998
    pyogrio.raw.write(
        tmp_path / "area.gpkg",
        geometry=np.array([shapely.to_wkb(shapely.box(west, south, east, north))]),
        field_data=[],
        fields=[],
        geometry_type="Polygon",
        crs="EPSG:4326",
    )
    scene = write_scene(tmp_path, paint(ids), crs="EPSG:4326", transform=DEGREES)
    result = map_scene(colour_model, scene, tmp_path, MapOptions(aoi=str(tmp_path / "area.gpkg")))
    expected = np.full_like(ids, 255)
    expected[20:50, :50] = ids[20:50, :50]
    assert (read(result.path) == expected).all()
    # Of 4 x 5 windows, every 24 pixels, 3 x 3 touch it.
    assert colour_model.windows == 3 * 3


def test_an_area_of_interest_beside_the_scene_is_told(colour_model, tmp_path, log):
    area = {"type": "Polygon", "coordinates": [[[21, 52], [21.1, 52], [21.1, 52.1], [21, 52]]]}
    (tmp_path / "area.geojson").write_text(json.dumps(area))
    scene = write_scene(tmp_path, paint(make_ids(40, 40)), crs="EPSG:4326", transform=DEGREES)
    result = map_scene(
        colour_model, scene, tmp_path, MapOptions(aoi=str(tmp_path / "area.geojson"))
    )
    assert "the area of interest lies elsewhere: nothing is mapped" in log.read()
    assert (read(result.path) == 255).all()


def test_lines_are_no_area_of_interest(colour_model, tmp_path):
    line = {"type": "LineString", "coordinates": [[20, 52], [20.1, 51.9]]}
    (tmp_path / "line.geojson").write_text(json.dumps(line))
    scene = write_scene(tmp_path, paint(make_ids(40, 40)), crs="EPSG:4326", transform=DEGREES)
    with pytest.raises(UserError, match=r"line\.geojson: there are no polygons in it"):
        map_scene(colour_model, scene, tmp_path, MapOptions(aoi=str(tmp_path / "line.geojson")))


def test_a_table_without_places_is_no_area_of_interest(colour_model, tmp_path):
    (tmp_path / "table.csv").write_text("name,number\na,1\n")
    scene = write_scene(tmp_path, paint(make_ids(40, 40)))
    with pytest.raises(UserError, match=r"table\.csv: there are no polygons in it"):
        map_scene(colour_model, scene, tmp_path, MapOptions(aoi=str(tmp_path / "table.csv")))


def test_bands_that_are_not_mapped_do_not_say_where_there_is_an_image(colour_model, tmp_path):
    ids = make_ids(40, 40)
    infrared = np.full((1, 40, 40), 9, np.uint8)
    bands = np.concatenate([paint(ids), infrared])
    bands[:3, :8] = 0
    options = MapOptions(bands=(1, 2, 3), nodata=0)
    given = map_scene(colour_model, write_scene(tmp_path, bands), tmp_path, options)
    declared = write_scene(tmp_path, bands, "declared.tif", nodata=0)
    result = map_scene(colour_model, declared, tmp_path, MapOptions(bands=(1, 2, 3)))
    for path in (given.path, result.path):
        assert (read(path)[:8] == 255).all() and (read(path)[8:] == ids[8:]).all()


def test_the_colours_of_a_four_band_scene_are_found_or_told(colour_model, tmp_path):
    ids = make_ids(64, 64)
    red, green, blue = paint(ids)
    infrared = np.full_like(red, 255)
    scene = write_scene(tmp_path, np.stack([infrared, red, green, blue]), alpha="unspecified")
    result = map_scene(colour_model, scene, tmp_path / "told", MapOptions(bands=(2, 3, 4)))
    assert (read(result.path) == ids).all()
    with rasterio.open(scene, "r+") as raster:
        names = ("gray", "red", "green", "blue")
        raster.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
    result = map_scene(colour_model, scene, tmp_path / "found")
    assert (read(result.path) == ids).all()


@pytest.mark.parametrize("scale", [None, (1000, 5000)])
def test_sixteen_bits_are_scaled_and_the_log_says_how(colour_model, tmp_path, log, scale):
    ids = make_ids(64, 64)
    pixels = (1000 + paint(ids).astype(np.uint16) * 15).astype(np.uint16)
    pixels[:, 0, :9] = [[0], [65535], [0]]  # outliers, which do not count
    ids[0, :9] = 1
    scene = write_scene(tmp_path, pixels)
    result = map_scene(colour_model, scene, tmp_path, MapOptions(scale=scale))
    assert (read(result.path) == ids).all()
    low, high = scale or (1600, 4000)
    said = f"{low} to {high}"
    assert f"16-bit samples scaled to 0 to 255, by band: {said}, {said}, {said}" in log.read()


def test_a_finer_scene_is_seen_at_the_models_resolution_and_mapped_on_its_own_grid(
    colour_model, tmp_path
):
    ids = make_ids(200, 220, block=20)
    result = map_scene(
        colour_model, write_scene(tmp_path, paint(ids)), tmp_path, MapOptions(gsd=2.0)
    )
    with rasterio.open(result.path) as raster:
        assert raster.transform == TRANSFORM
        assert raster.shape == ids.shape
        assert (raster.read(1) == ids).mean() > 0.9
    # 4 x fewer pixels on each side: windows of 128 every 96 pixels.
    assert colour_model.windows == 4


def test_a_scene_without_crs_is_mapped_without_a_place(colour_model, tmp_path, log):
    ids = make_ids(64, 64)
    scene = write_scene(tmp_path, paint(ids), crs=None)
    result = map_scene(colour_model, scene, tmp_path)
    assert "its place is unknown (no CRS, a local one, or no transform)" in log.read()
    with rasterio.open(result.path) as raster:
        assert raster.crs is None
        assert (raster.read(1) == ids).all()
    assert result.survey.hectares is None
    with pytest.raises(UserError, match="place is unknown and with it its resolution"):
        map_scene(colour_model, tmp_path / "scene.tif", tmp_path, MapOptions(gsd=1.0))


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ('LOCAL_CS["site",UNIT["metre",1]]', TRANSFORM),
        ("ESRI:104905", DEGREES),  # Mars
        ("EPSG:2180", Affine.identity()),  # what rasterio and GDAL write where there is none
    ],
)
def test_where_nothing_can_be_measured_areas_are_in_pixels(colour_model, tmp_path, crs, transform):
    ids = make_ids(64, 64)
    scene = write_scene(tmp_path, paint(ids), crs=crs, transform=transform)
    result = map_scene(colour_model, scene, tmp_path, MapOptions(polygons=True))
    assert (read(result.path) == ids).all()
    assert result.survey.hectares is None
    assert not (tmp_path / "scene.landcover.gpkg").exists()
    with rasterio.open(scene) as source, rasterio.open(result.path) as raster:
        assert (raster.crs, raster.transform) == (source.crs, source.transform)


def test_areas_of_a_scene_in_degrees_are_those_of_the_ground(colour_model, tmp_path):
    ids = np.zeros((100, 50), np.uint8)
    ids[60:] = 1
    transform = Affine(0.01, 0, 20, 0, -0.01, 60)
    scene = write_scene(tmp_path, paint(ids), crs="EPSG:4326", transform=transform)
    hectares = map_scene(colour_model, scene, tmp_path).survey.hectares
    # At 59.7 degrees north a degree is 111.41 km by 56.32 km, at 59.2 degrees 57.15 km.
    expected = np.array([111.41 * 56.32 * 0.6, 111.41 * 57.15 * 0.4, 0]) * 0.5 * 100
    assert hectares == pytest.approx(expected, rel=1e-3)


def test_the_truth_is_compared_where_there_is_a_map(colour_model, tmp_path):
    ids = make_ids(70, 60)
    valid = np.ones((70, 60), bool)
    valid[20:60, :30] = False
    truth = np.where(ids == 2, 1, ids)
    truth[:5] = 255
    scene = write_scene(tmp_path, paint(ids) * valid, nodata=0)
    mask = write_scene(tmp_path, truth[None].astype(np.uint8), "truth.tif")
    result = map_scene(colour_model, scene, tmp_path / "out", truth=str(mask))
    expected = np.zeros((3, 3), np.int64)
    counted = valid & (truth != 255)
    np.add.at(expected, (truth[counted], ids[counted]), 1)
    assert result.confusion.dtype == np.int64
    assert (result.confusion == expected).all()
    other = write_scene(tmp_path, truth[None, :50].astype(np.uint8), "small.tif")
    with pytest.raises(UserError, match="the truth has 60 x 50 pixels, the scene 60 x 70"):
        map_scene(colour_model, scene, tmp_path / "out", truth=str(other))


def test_a_truth_has_the_values_of_the_data_sets_masks(colour_model, tmp_path, log):
    colour_model.dataset_meta = {**colour_model.dataset_meta, "reduce_zero_label": True}
    ids = make_ids(40, 40)
    values = ids + 1
    values[:7] = 0
    scene = write_scene(tmp_path, paint(ids))
    mask = write_scene(tmp_path, values[None], "mask.tif")
    result = map_scene(colour_model, scene, tmp_path / "out", truth=str(mask))
    assert (result.confusion == np.diag(np.bincount(ids[7:].flatten()))).all()
    without_wood = write_scene(tmp_path, values[None], "nodata.tif", nodata=2)
    result = map_scene(colour_model, scene, tmp_path / "out", truth=str(without_wood))
    assert result.confusion.sum(1).tolist() == [(ids[7:] == 0).sum(), 0, (ids[7:] == 2).sum()]
    assert "its nodata value is 2, the id of 'wood'" in log.read()
    beyond = write_scene(tmp_path, values[None] + 1, "beyond.tif")
    with pytest.raises(UserError, match=r"beyond\.tif: the mask has ids 4 outside the classes"):
        map_scene(colour_model, scene, tmp_path / "out", truth=str(beyond))


@pytest.mark.parametrize(
    ("truth", "place", "message"),
    [
        (np.zeros((3, 40, 40), np.uint8), {}, "has 3 bands of uint8; one band of class ids"),
        (np.zeros((1, 40, 40), np.float32), {}, "has 1 bands of float32"),
        (
            np.zeros((1, 40, 40), np.uint8),
            {"transform": TRANSFORM * Affine.translation(2, 0)},
            r"lies elsewhere .* at column 2\.0, row 0\.0 of .*scene\.tif",
        ),
        (np.zeros((1, 40, 40), np.uint8), {"transform": TRANSFORM * Affine.scale(2)}, "elsewhere"),
        (np.zeros((1, 40, 40), np.uint8), {"crs": "EPSG:2177"}, "elsewhere"),
    ],
)
def test_what_is_not_the_truth_of_the_scene_is_refused(
    colour_model, tmp_path, truth, place, message
):
    scene = write_scene(tmp_path, paint(make_ids(40, 40)))
    mask = write_scene(tmp_path, truth, "mask.tif", **place)
    with pytest.raises(UserError, match=message):
        map_scene(colour_model, scene, tmp_path / "out", truth=str(mask))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (None, Affine.identity()),
        ("EPSG:2180", Affine.translation(0.1, 0.1) * TRANSFORM),
        (CRS.from_epsg(2180).to_wkt(version="WKT1_ESRI"), TRANSFORM),
    ],
)
def test_a_truth_lies_on_the_scene_but_for_half_a_pixel_or_has_no_place(
    colour_model, tmp_path, crs, transform
):
    ids = make_ids(40, 40)
    scene = write_scene(tmp_path, paint(ids))
    mask = write_scene(tmp_path, ids[None], "mask.tif", crs=crs, transform=transform)
    result = map_scene(colour_model, scene, tmp_path / "out", truth=str(mask))
    assert np.trace(result.confusion) == 40 * 40


@pytest.mark.parametrize(("nodata", "dtype"), [(-9999, np.int16), (0, np.uint8), (None, np.uint8)])
def test_pixels_that_the_truth_calls_nodata_do_not_count(
    colour_model, tmp_path, log, nodata, dtype
):
    ids = make_ids(40, 40)
    truth = ids.astype(dtype)
    truth[:7] = nodata or 0
    scene = write_scene(tmp_path, paint(ids))
    mask = write_scene(tmp_path, truth[None], "mask.tif", nodata=nodata)
    result = map_scene(colour_model, scene, tmp_path / "out", truth=str(mask))
    expected = np.zeros((3, 3), np.int64)
    counted = truth != nodata if nodata is not None else np.ones_like(ids, bool)
    np.add.at(expected, (truth[counted], ids[counted]), 1)
    assert (result.confusion == expected).all()
    told = f"its nodata value is 0, the id of {CLASSES[0]!r}: pixels of that class are not compared"
    assert (told in log.read()) == (nodata == 0)


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(context_model, tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 300, 64), dtype=np.uint8)
    scene = write_scene(tmp_path, pixels)
    options = MapOptions(probabilities=True)
    map_scene(context_model, scene, tmp_path / "once", options)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_scene(context_model, scene, tmp_path / "twice", options, progress=stop)
    assert not list((tmp_path / "twice").glob("*.tif"))
    written = []
    write = Workshop.write
    monkeypatch.setattr(Workshop, "write", lambda self, *a: (written.append(a[0]), write(self, *a)))
    map_scene(context_model, scene, tmp_path / "twice", options)
    assert written[0] >= 2 and written[-1] == 5
    names = [path.name for path in sorted((tmp_path / "once").iterdir())]
    assert [path.name for path in sorted((tmp_path / "twice").iterdir())] == names
    for name in names:
        once, twice = ((tmp_path / folder / name).read_bytes() for folder in ("once", "twice"))
        assert once == twice, name


def test_a_scene_is_mapped_into_a_folder_by_one_process(colour_model, tmp_path, held_elsewhere):
    scene = write_scene(tmp_path, paint(make_ids(64, 64)))
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


def test_strips_of_another_model_are_not_gone_on_from(colour_model, tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    scene = write_scene(tmp_path, paint(make_ids(200, 60)))
    with pytest.raises(KeyboardInterrupt):
        map_scene(colour_model, scene, tmp_path, progress=stop)
    assert list((tmp_path / ".scene.unfinished").glob("*.tif"))
    colour_model.gain.data *= -1
    locked = []
    result = map_scene(
        colour_model,
        scene,
        tmp_path,
        progress=lambda *_: locked.append((tmp_path / ".scene.unfinished/.lock").is_file()),
    )
    assert locked and all(locked)  # its lock is not thrown away with the strips
    assert (read(result.path) != make_ids(200, 60)).all()


def test_a_finished_map_is_kept_and_a_changed_job_maps_anew(colour_model, tmp_path):
    scene = write_scene(tmp_path, paint(make_ids(64, 64)))
    result = map_scene(colour_model, scene, tmp_path)
    before, windows = os.stat(result.path).st_mtime_ns, colour_model.windows
    map_scene(colour_model, scene, tmp_path)
    assert (os.stat(result.path).st_mtime_ns, colour_model.windows) == (before, windows)
    map_scene(colour_model, scene, tmp_path, MapOptions(overlap=0.5))
    assert colour_model.windows > windows
    windows = colour_model.windows
    colour_model.gain.data += 1
    map_scene(colour_model, scene, tmp_path, MapOptions(overlap=0.5))
    assert colour_model.windows > windows


def test_what_a_kill_left_of_a_finished_map_goes(colour_model, tmp_path, monkeypatch):
    scene = write_scene(tmp_path, paint(make_ids(64, 64)))
    with monkeypatch.context() as patch:
        patch.setattr(Workshop, "clear", lambda self: None)
        map_scene(colour_model, scene, tmp_path / "out")
    assert (tmp_path / "out/.scene.unfinished/job.json").is_file()
    windows = colour_model.windows
    map_scene(colour_model, scene, tmp_path / "out")
    assert colour_model.windows == windows
    assert not (tmp_path / "out/.scene.unfinished").exists()


def test_a_scene_of_the_same_name_does_not_replace_a_map(colour_model, tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for year, seed in (("2023", 0), ("2024", 1)):
        (tmp_path / year).mkdir()
        write_scene(tmp_path / year, paint(make_ids(64, 64, seed)))
    with pytest.raises(KeyboardInterrupt):
        map_scene(colour_model, tmp_path / "2023/scene.tif", tmp_path / "out", progress=stop)
    with pytest.raises(UserError, match=r"is the unfinished map of \S+/2023/scene\.tif; choose"):
        map_scene(colour_model, tmp_path / "2024/scene.tif", tmp_path / "out")
    first = map_scene(colour_model, tmp_path / "2023/scene.tif", tmp_path / "out")
    with pytest.raises(UserError, match=r"landcover\.tif: is the map of a scene of this name"):
        map_scene(colour_model, tmp_path / "2024/scene.tif", tmp_path / "out")
    assert (read(first.path) == make_ids(64, 64, 0)).all()
    assert not (tmp_path / "out/.scene.unfinished").exists()
    assert str(tmp_path).encode() not in first.path.read_bytes()


def test_a_model_of_half_precision_has_jobs_too(tmp_path):
    model = ColourModel().bfloat16()
    scene = write_scene(tmp_path, paint(make_ids(40, 40)))
    model.inference = lambda x: model.gain.float() * x
    assert (read(map_scene(model, scene, tmp_path).path) == make_ids(40, 40)).all()


def test_a_changed_sheet_of_a_virtual_raster_is_mapped_anew(colour_model, tmp_path):
    rasterio.shutil.copy(
        write_scene(tmp_path, paint(make_ids(64, 64)), "sheet.tif"),
        tmp_path / "scene.vrt",
        driver="VRT",
    )
    map_scene(colour_model, tmp_path / "scene.vrt", tmp_path / "out")
    changed = make_ids(64, 64, seed=1)
    write_scene(tmp_path, paint(changed), "sheet.tif")
    result = map_scene(colour_model, tmp_path / "scene.vrt", tmp_path / "out")
    assert (read(result.path) == changed).all()


def test_what_a_viewer_leaves_beside_a_scene_does_not_change_it(colour_model, tmp_path):
    scene = write_scene(tmp_path, paint(make_ids(64, 64)))
    map_scene(colour_model, scene, tmp_path / "out")
    windows = colour_model.windows
    scene.with_name("scene.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    scene.with_name("scene.tif.ovr").write_bytes(b"")
    assert len(list(tmp_path.glob("scene.tif.*"))) == 2
    map_scene(colour_model, scene, tmp_path / "out")
    assert colour_model.windows == windows


def test_other_names_of_the_classes_map_anew(colour_model, tmp_path):
    scene = write_scene(tmp_path, paint(make_ids(40, 40)))
    map_scene(colour_model, scene, tmp_path)
    colour_model.dataset_meta = {"classes": ("meadow", "wood", "water"), "palette": PALETTE}
    map_scene(colour_model, scene, tmp_path)
    assert "meadow" in (tmp_path / "scene.areas.csv").read_text()


def test_outputs_of_an_earlier_map_do_not_stay_beside_a_new_one(colour_model, tmp_path, log):
    scene = write_scene(tmp_path, paint(make_ids(40, 40)))
    map_scene(colour_model, scene, tmp_path, MapOptions(polygons=True, probabilities=True))
    for name in ("scene.landcover.tif.aux.xml", "scene.probabilities.tif.ovr"):
        (tmp_path / name).touch()  # as QGIS does
    map_scene(colour_model, scene, tmp_path)
    kinds = ("areas.csv", "landcover.qml", "landcover.tif", "preview.png")
    expected = [*(f"scene.{kind}" for kind in kinds), "scene.tif"]
    assert sorted(path.name for path in tmp_path.glob("scene*")) == expected
    assert "scene.landcover.gpkg of an earlier map is removed" in log.read()


def test_a_truncated_scene_is_one_line_for_the_user_and_leaves_no_map(colour_model, tmp_path):
    scene = write_scene(
        tmp_path, paint(make_ids(200, 200, block=1)), tiled=True, blockxsize=16, blockysize=16
    )
    content = scene.read_bytes()
    scene.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UserError, match=r"scene\.tif: .*cut short") as caught:
        map_scene(colour_model, scene, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").glob("scene*"))


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


@pytest.mark.parametrize(
    ("bands", "options", "message"),
    [
        (np.zeros((1, 9, 9), np.uint8), {}, r"it has 1 bands, bands \[1, 2, 3\] were asked for"),
        (np.zeros((3, 9, 9), np.uint8), {"bands": (1, 2, 4)}, r"give the numbers of the red"),
        (np.zeros((3, 9, 9), np.float32), {}, r"samples are float32; uint8 and uint16"),
        (np.zeros((3, 9, 9), np.uint8), {"aoi": "no.gpkg"}, r"no\.gpkg: not a readable file"),
        (np.zeros((3, 9, 9), np.uint8), {"overlap": 0.7}, r"choose a fraction"),
        (np.zeros((3, 9, 9), np.uint8), {"nodata": 300}, r"no sample is 300, .* they are 0 to 255"),
        (
            np.zeros((3, 9, 9), np.uint8),
            {"gsd": 1000},
            r"pixels are 0\.5 m wide, the gsd is 1000 m",
        ),
    ],
)
def test_a_mistake_is_one_line_for_the_user(colour_model, tmp_path, bands, options, message):
    scene = write_scene(tmp_path, bands)
    with pytest.raises(UserError, match=message) as caught:
        map_scene(colour_model, scene, tmp_path / "out", MapOptions(**options))
    assert "\n" not in str(caught.value)


def map_in_group(rank: int, scene: str, out: str) -> bool:
    options = MapOptions(probabilities=True, polygons=True)
    return map_scene(ColourModel(), scene, out, options) is None


def map_broken_scene_and_next(rank: int, broken: str, scene: str, out: str) -> tuple[str, bool]:
    with pytest.raises(UserError) as caught:
        map_scene(ColourModel(), broken, out)
    return str(caught.value), map_in_group(rank, scene, out)


def test_two_processes_fail_together_and_write_the_files_of_one(tmp_path, in_two_processes):
    scene = write_scene(tmp_path, paint(make_ids(200, 90)))
    broken = tmp_path / "broken.tif"  # below the middle: one process could go on
    broken.write_bytes(scene.read_bytes()[: int(0.8 * scene.stat().st_size)])
    torch.set_num_threads(1)
    map_in_group(0, str(scene), str(tmp_path / "one"))
    torch.set_num_threads(2)
    arguments = (str(broken), str(scene), str(tmp_path / "two"))
    (first, *is_other), (second, *is_second) = in_two_processes(
        map_broken_scene_and_next, *arguments
    )
    assert first == second and "broken.tif: cannot be read at rows" in first
    assert [*is_other, *is_second] == [False, True]
    shutil.rmtree(tmp_path / "two/.broken.unfinished")
    for path in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()
    assert len(list((tmp_path / "two").iterdir())) == 6


def test_a_virtual_raster_is_a_scene_like_any_other(colour_model, tmp_path):
    ids = make_ids(64, 80)
    scene = write_scene(tmp_path, paint(ids))
    rasterio.shutil.copy(scene, tmp_path / "virtual.vrt", driver="VRT")
    assert (read(map_scene(colour_model, tmp_path / "virtual.vrt", tmp_path).path) == ids).all()
    result = map_scene(colour_model, f"/vsisubfile/0_{scene.stat().st_size},{scene}", tmp_path)
    assert (read(result.path) == ids).all()


def test_real_scenes_are_mapped_with_their_gaps(colour_model, real_data, tmp_path):
    scene = real_data / "rasters/qgis_3320D_2010_315_RGB_LATLNG.tif"
    colour_model.data_preprocessor.size = (512, 512)
    result = map_scene(colour_model, scene, tmp_path)
    with rasterio.open(scene) as source, rasterio.open(result.path) as raster:
        assert raster.crs == source.crs and raster.transform == source.transform
        assert ((raster.read(1) == 255) == (source.read(4) == 0)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "the batch size is 0"),
        ({"batch_size": -1}, "the batch size is -1"),
        ({"gsd": 0.0}, r"the gsd is 0\.0"),
        ({"gsd": float("nan")}, "the gsd is nan"),
        ({"scale": (5, 5)}, "the scale is 5 to 5"),
        ({"scale": (0, float("nan"))}, "the scale is 0 to nan"),
        ({"nodata": float("nan")}, "the nodata value is nan"),
        ({"nodata": 0.5}, r"the nodata value is 0\.5"),
        ({"min_area": float("nan")}, "the smallest area is nan"),
        ({"min_area": -1.0}, r"the smallest area is -1\.0"),
    ],
)
def test_options_that_would_map_nothing_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        MapOptions(**options)
