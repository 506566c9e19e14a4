"""Maps compared with the ground truth."""

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.crs import CRS
from scenes import CLASSES, TRANSFORM, ColourModel, make_ids, map_pixels, paint, write_scene

from mmseg.errors import UserError
from mmseg.imagery.pictures import VERMILION
from mmseg.raster import map_scene


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


def write_mask(folder, values, **profile):
    return write_scene(folder, values[None], "mask.tif", **profile)


@pytest.mark.parametrize(("nodata", "dtype"), [(-9999, np.int16), (0, np.uint8), (None, np.uint8)])
def test_pixels_without_a_map_or_a_truth_do_not_count(colour_model, tmp_path, log, nodata, dtype):
    ids = make_ids(70, 60)
    valid = np.ones(ids.shape, bool)
    valid[20:60, :30] = False
    truth = np.where(ids == 2, 1, ids).astype(dtype)
    truth[:5] = 255
    truth[5:9] = nodata or 0
    mask = write_mask(tmp_path, truth, nodata=nodata)
    result = map_pixels(colour_model, tmp_path, paint(ids) * valid, mask, {"nodata": 0})
    expected = np.zeros((3, 3), np.int64)
    counted = valid & (truth != 255) & (truth != (300 if nodata is None else nodata))
    np.add.at(expected, (truth[counted], ids[counted]), 1)
    assert result.confusion.dtype == np.int64
    assert (result.confusion == expected).all()
    told = f"its nodata value is 0, the id of {CLASSES[0]!r}: pixels of that class are ignored"
    assert (told in log.read()) == (nodata == 0)


def test_a_truth_has_the_values_of_the_data_sets_masks(colour_model, tmp_path, log):
    colour_model.dataset_meta = {**colour_model.dataset_meta, "reduce_zero_label": True}
    ids = make_ids(40, 40)
    values = ids + 1
    values[:7] = 0
    result = map_pixels(colour_model, tmp_path, paint(ids), write_mask(tmp_path, values))
    assert (result.confusion == np.diag(np.bincount(ids[7:].flatten()))).all()
    without_wood = write_mask(tmp_path, values, nodata=2)
    result = map_pixels(colour_model, tmp_path, paint(ids), without_wood)
    assert result.confusion.sum(1).tolist() == [(ids[7:] == 0).sum(), 0, (ids[7:] == 2).sum()]
    assert "its nodata value is 2, the id of 'wood'" in log.read()
    with pytest.raises(UserError, match=r"mask\.tif: the mask has ids 4 outside the classes"):
        map_pixels(colour_model, tmp_path, paint(ids), write_mask(tmp_path, values + 1))


@pytest.mark.parametrize(
    ("truth", "place", "message"),
    [
        (np.zeros((1, 30, 40), np.uint8), {}, "mask is 40x30 pixels, its image .* 40x40"),
        (np.zeros((3, 40, 40), np.uint8), {}, "has 3 bands of uint8, not one of class ids"),
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
def test_a_truth_of_another_scene_or_kind_is_refused(colour_model, tmp_path, truth, place, message):
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
    mask = write_mask(tmp_path, ids, crs=crs, transform=transform)
    assert np.trace(map_pixels(colour_model, tmp_path, paint(ids), mask).confusion) == 40 * 40


def test_ids_of_no_class_are_refused_before_anything_is_mapped(colour_model, tmp_path):
    ids = make_ids(70, 60)
    truth = ids.copy()
    truth[:9, :9] = 7  # where there is no image
    scene = write_scene(tmp_path, paint(ids) * (truth != 7), nodata=0)
    mask = write_mask(tmp_path, truth)
    assert np.trace(map_scene(colour_model, scene, tmp_path, truth=str(mask)).confusion) == 4119
    truth[60, 50] = 9
    mask, colour_model.windows = write_mask(tmp_path, truth), 0
    with pytest.raises(UserError, match=r"mask\.tif: the mask has ids 9 outside the classes"):
        map_scene(colour_model, scene, tmp_path / "out", truth=str(mask))
    assert colour_model.windows == 0 and not (tmp_path / "out").exists()


def test_a_truth_whose_palette_is_not_the_data_sets_is_told(colour_model, tmp_path, warnings):
    ids = make_ids(40, 40)
    mask = write_mask(tmp_path, ids, photometric="palette")
    with rasterio.open(mask, "r+") as raster:
        raster.write_colormap(1, {i: (i, 0, 0) for i in range(3)})
    result = map_pixels(colour_model, tmp_path, paint(ids), mask)
    assert np.trace(result.confusion) == 40 * 40
    assert (
        len(warnings) == 1 and "its palette is not metainfo.palette: 0 is (0, 0, 0)" in warnings[0]
    )


def test_the_preview_of_a_map_with_a_truth_shows_the_errors_also_when_the_map_is_finished(
    colour_model, tmp_path
):
    ids = make_ids(70, 60)
    truth = ids.copy()
    truth[10:20, 10:30] = (ids[10:20, 10:30] + 1) % 3
    mask = write_mask(tmp_path, truth)

    def errors() -> int:
        picture = np.asarray(Image.open(tmp_path / "scene.preview.png"))
        return int((picture == VERMILION).all(axis=2).sum())

    map_pixels(colour_model, tmp_path, paint(ids))
    assert errors() == 0
    map_pixels(colour_model, tmp_path, paint(ids), mask)
    assert errors() == 200
