"""make_dataset: labels where they were drawn, splits that share no ground, a config that fits."""

import numpy as np
import pytest
import rasterio
import shapely
from drawn import (
    BANDS,
    CLASSES,
    GSD,
    NORTH,
    WEST,
    box,
    draw,
    make,
    polygons_of,
    write_labels,
    write_scene,
)
from PIL import Image

from mmseg.config import load_config
from mmseg.datasets import build_dataset
from mmseg.datasets.check import check_sample, mean_and_std
from mmseg.errors import UserError
from mmseg.geodata import output, sheets
from mmseg.geodata.labels import qml_colours
from mmseg.geodata.sheets import split_units


def tiles_of(out, split=None):
    """Yield name, image (C, h, w), mask and the (left, top) of each tile, in survey pixels."""
    names = [p.stem for p in sorted((out / "images").glob("*.tif"))]
    if split:
        names = (out / f"splits/{split}.txt").read_text().split()
    for name in names:
        with rasterio.open(out / f"images/{name}.tif") as raster:
            left, top = (raster.transform.c - WEST) / GSD, (NORTH - raster.transform.f) / GSD
            mask = np.asarray(Image.open(out / f"masks/{name}.png"))
            yield name, raster.read(), mask, (round(left, 6), round(top, 6))


@pytest.fixture(autouse=True)
def few_pictures_and_trials(monkeypatch):
    monkeypatch.setattr(output, "COUNT", 2)
    monkeypatch.setattr(sheets, "TRIALS", 100)


@pytest.fixture
def survey(tmp_path):
    ids = draw(96, 160)
    shapes, names = polygons_of(ids)
    labels = write_labels(tmp_path / "labels.gpkg", shapes, **{"class": names})
    return ids, write_scene(tmp_path / "scene.tif", ids, nodata=0), labels


def test_masks_are_the_polygons_and_images_the_scene(tmp_path, survey):
    ids, scene, labels = survey
    make(tmp_path / "out", [scene], labels=labels)
    with rasterio.open(scene) as raster:
        planes = raster.read()
    seen = np.zeros(ids.shape, int)
    for _, image, mask, (left, top) in tiles_of(tmp_path / "out"):
        place = np.s_[int(top) : int(top) + mask.shape[0], int(left) : int(left) + mask.shape[1]]
        np.testing.assert_array_equal(mask, ids[place])  # the classes are sorted by their names
        np.testing.assert_array_equal(image, planes[(slice(None), *place)])
        seen[place] += 1
    assert (seen == 1).all()


def test_tiles_have_the_place_bands_bits_and_nodata_of_the_scene(tmp_path, survey):
    make(tmp_path / "out", [survey[1]], labels=survey[2])
    with rasterio.open(next((tmp_path / "out/images").glob("*.tif"))) as raster:
        assert raster.descriptions == BANDS and raster.dtypes[0] == "uint16"
        assert raster.nodata == 0 and raster.crs.to_epsg() == 32633 and raster.res == (GSD, GSD)


def test_the_config_has_the_numbers_of_the_training_tiles(tmp_path, survey):
    make(tmp_path / "out", [survey[1]], labels=survey[2])
    config = load_config(tmp_path / "out/config.py")
    assert "_base_" not in (tmp_path / "out/config.py").read_text()
    dataset = build_dataset(config.train_dataloader.dataset)
    assert dataset.metainfo["classes"] == list(CLASSES)
    assert dataset.metainfo["bands"] == list(BANDS) and dataset.metainfo["gsd"] == GSD
    assert config.model.backbone.in_channels == 4 and config.model.decode_head.num_classes == 3
    mean, std = mean_and_std([check_sample(dataset, name) for name in dataset.list_names()])
    preprocessor = config.model.data_preprocessor
    np.testing.assert_allclose(preprocessor.mean, mean, rtol=1e-4)
    np.testing.assert_allclose(preprocessor.std, std, rtol=1e-4)
    assert len(config.model.decode_head.loss_decode.class_weight) == 3
    assert (tmp_path / "out/contact_sheet.png").is_file()


@pytest.mark.parametrize(("split", "shift"), [("blocks", 0.4), ("sheets", 0)])
def test_no_ground_lies_in_two_splits_also_where_scenes_overlap(tmp_path, split, shift):
    ids = draw(288, 288)
    places = [(0, 0), (60, 0), (0, 130), (190, 190), (130.0 + shift, 20)]
    scenes = [
        write_scene(
            tmp_path / f"s{n}.tif",
            ids[int(y) : int(y) + 96, int(x) : int(x) + 58 + 38 * (n < 2)],
            x,
            y,
        )
        for n, (x, y) in enumerate(places)
    ]
    shapes, names = polygons_of(ids)
    labels = write_labels(tmp_path / "labels.gpkg", shapes, **{"class": names})
    make(tmp_path / "out", scenes, labels=labels, split=split, val=0.2, test=0.2)
    boxes = {
        name: [
            shapely.box(x, y, x + m.shape[1], y + m.shape[0])
            for *_, m, (x, y) in tiles_of(tmp_path / "out", name)
        ]
        for name in ("train", "val", "test")
    }
    assert all(boxes.values())
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = shapely.union_all(boxes[one]).intersection(shapely.union_all(boxes[other]))
        assert shared.area == pytest.approx(0, abs=1e-6)


def test_splits_have_their_share_of_every_class_and_a_seed_repeats_them():
    rng = np.random.default_rng(0)
    rare = rng.random(60) < 0.2
    counts = {(0, n): np.array([900, 300 * (n % 3), 50 * rare[n]]) for n in range(60)}
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    total = sum(counts.values())
    for split, share in shares.items():
        units = [unit for unit, own in split_units(counts, shares, 0).items() if own == split]
        np.testing.assert_allclose(sum(counts[u] for u in units) / total, share, atol=0.05)
    assert split_units(counts, shares, 0) == split_units(counts, shares, 0)
    assert split_units(counts, shares, 0) != split_units(counts, shares, 1)


def test_one_huge_unit_leaves_the_others_to_val_and_test():
    counts = {(n,): np.array([1000 if n == 1 else 1]) for n in range(3)}
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    assert split_units(counts, shares, 0)[(1,)] == "train"
    assert set(split_units(counts, shares, 0).values()) == set(shares)


def test_unlabelled_ground_is_background_or_ignored_or_so_outside_of_an_area(tmp_path):
    scene = write_scene(tmp_path / "scene.tif", draw(128, 128))
    drawn = [box(0, 0, 32, 64), box(64, 64, 128, 128)]
    labels = write_labels(tmp_path / "labels.gpkg", drawn, **{"class": ["wood", "field"]})
    area = write_labels(tmp_path / "area.gpkg", [box(0, 0, 64, 128)], note=["seen"])
    values = {}
    for name, options in {
        "all": {},
        "none": {"unlabelled": "ignore"},
        "area": {"area": area},
    }.items():
        make(tmp_path / name, [scene], labels=labels, block=32, **options)
        whole = np.full((128, 128), 255)
        for _, _, mask, (x, y) in tiles_of(tmp_path / name):
            whole[int(y) : int(y) + 32, int(x) : int(x) + 32] = mask
        values[name] = whole
    expected = np.full((128, 128), 255)
    expected[:64, :32], expected[64:, 64:] = 1, 0
    np.testing.assert_array_equal(values["none"], expected)
    np.testing.assert_array_equal(values["all"], np.where(expected == 255, 2, expected))
    expected[:, :64] = np.where(expected[:, :64] == 255, 2, expected[:, :64])
    np.testing.assert_array_equal(values["area"], expected)


@pytest.mark.parametrize("told", [True, False])
def test_tiles_without_image_or_label_are_left_out_and_nodata_is_ignored(tmp_path, told):
    ids = draw(96, 96)
    scene = write_scene(tmp_path / "scene.tif", ids, nodata=None if told else 0)
    with rasterio.open(scene, "r+") as raster:
        planes = raster.read()
        planes[:, :40, :40] = 0
        raster.write(planes)
    labels = write_labels(tmp_path / "labels.gpkg", [box(0, 0, 96, 64)], **{"class": ["a"]})
    options = {"block": 32, "unlabelled": "ignore", "nodata": 0 if told else None}
    make(tmp_path / "out", [scene], labels=labels, **options)
    found = {place: mask for _, _, mask, place in tiles_of(tmp_path / "out")}
    assert set(found) == {(x, y) for x in (0, 32, 64) for y in (0, 32)} - {(0, 0)}
    assert (found[32, 0][:, :8] == 255).all() and (found[32, 0][:, 8:] == 0).all()


def test_where_polygons_overlap_the_last_or_the_highest_counts_and_the_area_is_told(tmp_path, log):
    scene = write_scene(tmp_path / "scene.tif", draw(96, 96))
    drawn = [box(0, 0, 96, 96), box(16, 16, 48, 48)]
    labels = write_labels(tmp_path / "l.gpkg", drawn, **{"class": ["wood", "pond"], "rank": [2, 1]})
    for name, order, inner in (("file", None, 0), ("field", "rank", 1)):
        make(tmp_path / name, [scene], labels=labels, order=order, block=32)
        masks = {place: mask for _, _, mask, place in tiles_of(tmp_path / name)}
        assert (masks[32, 32][:16, :16] == inner).all() and (masks[64, 64] == 1).all()
    lines = [line for line in log.read().splitlines() if "overlap" in line]
    assert lines == [
        "polygons overlap on 0.4096 ha: there the last one in the file counts",
        "polygons overlap on 0.4096 ha: there the highest rank counts",
    ]


def test_bad_geometries_are_mended_or_left_out_and_counted(tmp_path, log):
    scene = write_scene(tmp_path / "scene.tif", draw(96, 96))
    corners = [box(0, 0, 64, 64).exterior.coords[i] for i in (0, 2, 1, 3)]  # a bow tie
    drawn = [
        shapely.Polygon(corners),
        shapely.GeometryCollection([box(0, 64, 96, 96), shapely.Point(WEST, NORTH)]),
        shapely.LineString([(WEST, NORTH), (WEST + 9, NORTH)]),
        box(900, 900, 901, 901),
    ]
    labels = write_labels(tmp_path / "l.gpkg", drawn, **{"class": ["a", "b", "c", "b"]})
    make(tmp_path / "out", [scene], labels=labels, block=32)
    told = log.read()
    assert "1 of 4 geometries are invalid; they are mended" in told
    assert "1 of 4 features have no area; they are left out" in told
    assert "l.gpkg: 2 of 4 features lie on the scenes" in told
    masks = {place: mask for _, _, mask, place in tiles_of(tmp_path / "out")}
    assert (masks[0, 64] == 1).all() and 0.4 < (masks[0, 0] == 0).mean() < 0.6


def test_names_that_nearly_agree_are_told(tmp_path, survey, log):
    shapes, names = polygons_of(survey[0])
    names = [f"{name} " if name == "wood" and i % 2 else name for i, name in enumerate(names)]
    names[0] = "feild"
    labels = write_labels(tmp_path / "l.gpkg", shapes, **{"class": names})
    make(tmp_path / "out", [survey[1]], labels=labels)
    assert "the class names 'wood' and 'wood ' nearly agree" in log.read()


def test_an_interrupted_call_goes_on_with_the_missing_tiles(tmp_path, survey):
    make(tmp_path / "whole", [survey[1]], labels=survey[2])

    def stop(items, title):
        for number, item in enumerate(items):
            if number == 5:
                raise KeyboardInterrupt
            yield item

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        make(out, [survey[1]], stop, labels=survey[2])
    assert not (out / "config.py").exists()
    made = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert len(made) == 5
    with (out / ".tiles.jsonl").open("a") as journal:
        journal.write('\n{"name": "scene_0')  # a line that was cut
    make(out, [survey[1]], labels=survey[2])
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    for path in (tmp_path / "whole").rglob("*.*"):
        if path.is_file() and not path.name.startswith("."):
            same = out / path.relative_to(tmp_path / "whole")
            assert same.read_bytes() == path.read_bytes(), path
    with pytest.raises(UserError, match="holds a data set of other scenes, labels or options"):
        make(out, [survey[1]], labels=survey[2], seed=1)


def test_colours_come_from_the_style_beside_the_layer(tmp_path, survey):
    style = """<qgis><renderer-v2 type="categorizedSymbol"><categories>
      <category value="wood" symbol="0"/><category value="pond" symbol="1"/></categories><symbols>
      <symbol name="0"><layer><Option><Option name="color" value="1,2,3,255,rgb:0,0,0,1"/></Option>
      </layer></symbol>
      <symbol name="1"><layer><prop k="color" v="40,50,60,255"/></layer></symbol>
      </symbols></renderer-v2></qgis>"""
    (tmp_path / "labels.qml").write_text(style)
    assert qml_colours(tmp_path / "labels.qml") == {"wood": (1, 2, 3), "pond": (40, 50, 60)}
    make(tmp_path / "out", [survey[1]], labels=survey[2])
    palette = load_config(tmp_path / "out/config.py").train_dataloader.dataset.metainfo.palette
    assert tuple(palette[2]) == (1, 2, 3) and tuple(palette[1]) == (40, 50, 60)
    assert len({tuple(colour) for colour in palette}) == 3
