"""Scenes and labels that cannot be used: one line each, and nothing half-written."""

import json

import numpy as np
import pytest
import rasterio
from drawn import CRS, box, draw, make, write_labels, write_scene

from mmseg.errors import UserError


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path / "scene.tif", draw(64, 64))


def labels(folder, classes=("a", "b"), shapes=None, **options):
    shapes = shapes or [box(0, 0, 32, 64), box(32, 0, 64, 64)]
    return write_labels(folder / "l.gpkg", shapes, **options, **{"class": list(classes)})


def empty(folder):
    path = folder / "l.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    return str(path)


def cut(folder):
    path = folder / "l.gpkg"
    labels(folder)
    path.write_bytes(path.read_bytes()[:20_000])
    return str(path)


def two_layers(folder):
    import pyogrio

    labels(folder)
    pyogrio.raw.write(
        folder / "l.gpkg",
        np.array([box(0, 0, 9, 9).wkb]),
        [],
        [],
        layer="more",
        geometry_type="Polygon",
        crs=CRS,
    )
    return str(folder / "l.gpkg")


def many(folder):
    return labels(folder, map(str, range(300)), [box(0, 0, 64, 64)] * 300)


BAD_LABELS = {
    r"l\.gpkg: it has no CRS; set it in QGIS": lambda f: labels(f, to=None),
    r"l\.geojson: (there are no polygons|not a readable layer)": empty,
    r"l\.gpkg: 1 polygons have no class in 'class'": lambda f: labels(f, ("a", None)),
    r"l\.gpkg: it has no field 'class'; did you mean 'klass'": lambda f: write_labels(
        f / "l.gpkg", [box(0, 0, 9, 9)], klass=["a"]
    ),
    r"there are 301 classes, masks of 8 bits hold 255: is 'class' the field": many,
    r"l\.gpkg: not a readable layer .* is it still being written": cut,
    r"l\.gpkg: it has the layers l, more: choose by --layer": two_layers,
    r"no polygon lies on a scene": lambda f: labels(f, shapes=[box(500, 500, 510, 510)] * 2),
    r"nothing\.gpkg: not a readable layer": lambda f: str(f / "nothing.gpkg"),
    r"l\.gpkg: there are no polygons in it": lambda f: labels(
        f, shapes=[box(0, 0, 9, 9).boundary] * 2
    ),
}


@pytest.mark.parametrize("message", BAD_LABELS)
def test_a_layer_that_cannot_be_used_is_one_line_and_writes_nothing(tmp_path, scene, message):
    path = BAD_LABELS[message](tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        make(tmp_path / "out", [scene], labels=path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


BAD_SCENES = {
    r"b\.tif: its place is unknown .* use --masks": {"crs": None, "transform": None},
    r"b\.tif: it has the bands green, red, nir, .*scene\.tif has green, red, nir, swir": {
        "count": 3
    },
    r"b\.tif: it has the samples of float32, .* has uint16": {"dtype": "float32"},
    r"b\.tif: it has the CRS EPSG:32632, .* has EPSG:32633": {"crs": "EPSG:32632"},
    r"b\.tif: its pixels are 5 m wide, those of .*scene\.tif 2 m": {
        "transform": rasterio.Affine(5, 0, 5e5, 0, -5, 5.4e6)
    },
    r"b\.tif: it is turned; make it north-up": {
        "transform": rasterio.Affine(2, 1, 5e5, 1, -2, 5.4e6)
    },
}


@pytest.mark.parametrize("message", BAD_SCENES)
def test_scenes_that_do_not_fit_are_one_line_that_names_both(tmp_path, scene, message):
    other = write_scene(tmp_path / "b.tif", draw(64, 64), **BAD_SCENES[message])
    scenes = [other] if "place" in message else [scene, other]
    with pytest.raises(UserError, match=message) as caught:
        make(tmp_path / "out", scenes, labels=labels(tmp_path))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_two_scenes_of_one_name_are_named(tmp_path, scene):
    other = write_scene(tmp_path / "later/scene.tif", draw(64, 64), left=64)
    with pytest.raises(UserError, match=r"/scene\.tif and .*later/scene\.tif have the same name"):
        make(tmp_path / "out", [scene, other], labels=labels(tmp_path))


@pytest.mark.parametrize("order", [["9", "10"], [1.0, np.nan]])
def test_an_order_of_texts_or_without_a_number_is_refused(tmp_path, scene, order):
    shapes = [box(0, 0, 64, 64)] * 2
    path = write_labels(tmp_path / "l.gpkg", shapes, **{"class": ["a", "b"], "rank": order})
    with pytest.raises(UserError, match="--order needs a number in 'rank' of each polygon"):
        make(tmp_path / "out", [scene], labels=path, order="rank")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": None}, "give --labels, a file of polygons, or --masks"),
        ({"class_field": None}, "--class-field NAME: name the field"),
        ({"size": 100}, "--size 100: give a multiple of 32"),
        ({"val": 0.6, "test": 0.5}, "--val and --test: give shares that leave something"),
        ({"block": 64, "size": 64}, "1 blocks or sheets with labels cannot fill train, val, test"),
        ({"bands": ("green", "red", "nir")}, r"has 4 bands .* 3 are needed"),
    ],
)
def test_options_that_cannot_work_are_one_line(tmp_path, scene, options, message):
    if options.get("bands"):
        scene = write_scene(tmp_path / "c.tif", draw(64, 64), names=None)
    with pytest.raises(UserError, match=message):
        make(tmp_path / "out", [scene], **{"labels": labels(tmp_path), **options})


def test_a_scene_that_is_cut_short_is_named(tmp_path, scene):
    scene = write_scene(tmp_path / "scene.tif", draw(64, 64), names=None)
    scene.write_bytes(scene.read_bytes()[:-9000])
    with pytest.raises(UserError, match=r"scene\.tif: .*cut short"):
        make(tmp_path / "out", [scene], labels=labels(tmp_path))
    assert not (tmp_path / "out/config.py").exists()


def test_a_mask_that_does_not_fit_is_named(tmp_path, scene):
    folder = tmp_path / "ann"
    folder.mkdir()
    with pytest.raises(UserError, match=r"ann: no mask of .*scene\.tif there"):
        make(tmp_path / "out", [scene], masks=str(folder))
    write_scene(folder / "scene.tif", draw(64, 32))
    with pytest.raises(UserError, match=r"ann/scene\.tif: the mask is 32x64 pixels, its image"):
        make(tmp_path / "out", [scene], masks=str(folder))
    write_scene(folder / "scene.tif", draw(64, 64))
    with pytest.raises(
        UserError, match=r"ann/scene\.tif: the mask has ids \d+, .* outside the classes"
    ):
        make(tmp_path / "out", [scene], masks=str(folder), classes=("a", "b"))
