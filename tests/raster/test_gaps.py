"""Pixels without image: which alpha bands count, and which gaps are only suspected."""

import csv

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from scenes import COLOURS, ColourModel, make_ids, map_pixels, paint, read, write_scene

from mmseg.raster import MapOptions, map_scene

NAMES = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
IDS = make_ids(40, 60)


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


def write_bands(folder, *more, nodata=None, names=()):
    """Write a scene of red, green, blue and more bands with their colour interpretations."""
    bands = np.concatenate([paint(IDS), *(band[None] for band in more)])
    scene = write_scene(folder, bands, nodata=nodata, photometric="RGB")
    with rasterio.open(scene, "r+") as raster:
        raster.colorinterp = (*NAMES, *names)
    return scene


def mask(columns: int, full: int = 255) -> np.ndarray:
    alpha = np.full(IDS.shape, full, np.uint8)
    alpha[:, :columns] = 0
    return alpha


@pytest.mark.parametrize("nodata", [None, 255])
@pytest.mark.parametrize("infrared", [0, 1])
def test_every_alpha_band_counts_beside_nodata_and_other_bands(
    colour_model, tmp_path, log, nodata, infrared
):
    alpha = mask(15)
    alpha[:, 15] = np.arange(1, 41)  # a feathered edge is an image
    other = mask(0, full=90)
    more, names = [other] * infrared + [alpha], [ColorInterp.undefined] * infrared
    scene = write_bands(tmp_path, *more, nodata=nodata, names=[*names, ColorInterp.alpha])
    found = read(map_scene(colour_model, scene, tmp_path / "out").path)
    assert (found[:, :15] == 255).all() and (found[:, 15:] == IDS[:, 15:]).all()
    assert f"about 25.0% nodata; band {4 + infrared} is the alpha band" in log.read()


def test_an_infrared_band_that_is_called_alpha_is_no_mask_unless_told(colour_model, tmp_path, log):
    infrared = np.random.default_rng(0).integers(1, 255, IDS.shape, dtype=np.uint8)
    infrared[IDS == 2] = 0  # water
    infrared[:, 30:] = 77
    scene = write_bands(
        tmp_path, infrared, mask(6), names=[ColorInterp.alpha, ColorInterp.undefined]
    )
    assert (read(map_scene(colour_model, scene, tmp_path / "out").path) == IDS).all()
    assert "band 4 is called alpha, but" in log.read()
    told = map_scene(colour_model, scene, tmp_path / "four", MapOptions(alpha=4))
    assert (read(told.path) == np.where(infrared == 0, 255, IDS)).all()
    told = map_scene(colour_model, scene, tmp_path / "five", MapOptions(alpha=5))
    assert (read(told.path) == np.where(mask(6) == 0, 255, IDS)).all()
    assert told.areas.nodata[0] == 40 * 6


def test_without_alpha_every_pixel_is_mapped(colour_model, tmp_path):
    scene = write_bands(tmp_path, mask(15), names=[ColorInterp.alpha])
    found = map_scene(colour_model, scene, tmp_path / "out", MapOptions(alpha=0))
    assert (read(found.path) == IDS).all()


@pytest.mark.parametrize(("value", "dtype"), [(0, np.uint8), (255, np.uint8), (65535, np.uint16)])
def test_gaps_that_no_value_names_are_warned_of(colour_model, tmp_path, warnings, value, dtype):
    pixels = np.clip(paint(make_ids(100, 100)), 1, 254).astype(dtype)
    pixels[:, :12, :12] = np.where(np.tri(12)[::-1], value, pixels[:, :12, :12])  # 0.8 %, a corner
    map_pixels(colour_model, tmp_path, pixels)
    assert len(warnings) == 1
    assert f"exactly {value} in all bands" in warnings[0] and f"--nodata {value}" in warnings[0]
    map_pixels(colour_model, tmp_path, pixels, nodata=value)
    pixels[:, 50, 50] = value
    map_pixels(colour_model, tmp_path, pixels, profile={"nodata": value})
    assert len(warnings) == 1 or "thrown away" in warnings[1]


def test_a_few_black_pixels_inside_are_no_gap(colour_model, tmp_path, warnings):
    pixels = paint(make_ids(100, 100))
    pixels[:, 40:49, 40:49] = 0
    map_pixels(colour_model, tmp_path, pixels)
    assert not warnings


def test_areas_have_a_row_for_nodata(colour_model, tmp_path):
    pixels = COLOURS[np.zeros((50, 40), int)].transpose(2, 0, 1)
    pixels[:, :10] = 0
    result = map_pixels(colour_model, tmp_path, pixels, profile={"nodata": 0})
    *rows, last = csv.DictReader((tmp_path / "scene.areas.csv").open())
    assert len(rows) == 3 and [row["percent"] for row in rows] == ["100.00", "0.00", "0.00"]
    assert (last["class_id"], last["class_name"], last["percent"]) == ("255", "nodata", "")
    assert int(last["pixels"]) == result.areas.nodata[0] == 400
    assert float(last["hectares"]) == pytest.approx(400 * 0.25 / 10_000)
