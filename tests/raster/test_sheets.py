"""Sheets that touch are mapped as one, and come with an index."""

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio import Affine
from scenes import (
    CLASSES,
    PALETTE,
    TRANSFORM,
    ColourModel,
    make_context_model,
    make_ids,
    paint,
    read,
    write_scene,
)

from mmseg.raster import MapOptions, Sheets, map_scene, write_index

CUTS = (
    (slice(0, 120), slice(0, 90)),
    (slice(0, 120), slice(90, 230)),
    (slice(120, 170), slice(0, 160)),
)


def write_sheets(folder, pixels: np.ndarray, **profile: object) -> dict:
    """Cut a scene, (bands, H, W), into three sheets; return their places by their paths."""
    return {
        str(
            write_scene(
                folder,
                pixels[:, rows, columns],
                f"{name}.tif",
                transform=TRANSFORM * Affine.translation(columns.start, rows.start),
                **profile,
            )
        ): (rows, columns)
        for name, (rows, columns) in zip("abc", CUTS, strict=True)
    }


def test_sheets_that_touch_are_mapped_as_if_they_were_one_scene(tiny_model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 170, 230), dtype=np.uint8)
    pixels[:, 120:, 160:] = 0  # no sheet there
    model, options = make_context_model(tiny_model), MapOptions()
    whole = map_scene(model, write_scene(tmp_path, pixels, "whole.tif"), tmp_path, options)
    expected = read(whole.path)
    sheets = write_sheets(tmp_path, pixels)
    differing = 0
    for path, place in sheets.items():
        result = map_scene(model, path, tmp_path / "maps", options, sheets=Sheets(list(sheets)))
        assert read(result.path).shape == expected[place].shape
        differing += (read(result.path) != expected[place]).sum()
        alone = map_scene(model, path, tmp_path / "alone", options)
        assert (read(alone.path) != expected[place]).sum() > 100
    assert differing == 0


def test_sixteen_bit_sheets_are_scaled_alike(tmp_path):
    levels = np.linspace(1000, 9000, 230).astype(np.uint16) + np.zeros((3, 170, 1), np.uint16)
    levels[1] = 5000
    levels[2] = 0
    sheets = write_sheets(tmp_path, levels)
    maps = {}
    for path, place in sheets.items():
        result = map_scene(ColourModel(), path, tmp_path, sheets=Sheets(list(sheets)))
        maps[place[0].start, place[1].start] = read(result.path)
    # The same column has the same class in the sheets above each other.
    assert (maps[0, 0][-1] == maps[120, 0][0, :90]).all()
    assert (maps[0, 90][-1, :70] == maps[120, 0][0, 90:]).all()


def test_a_sheet_that_does_not_touch_or_lies_on_another_grid_is_mapped_alone(tmp_path):
    ids = make_ids(60, 60)
    paths = [
        write_scene(tmp_path, paint(ids), f"{name}.tif", transform=TRANSFORM * move)
        for name, move in (
            ("a", Affine.identity()),
            ("near", Affine.translation(60.4, 0)),
            ("far", Affine.translation(0, 200)),
            ("coarse", Affine.translation(-60, 0) * Affine.scale(2)),
        )
    ]
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    sheets = Sheets([*map(str, paths), str(tmp_path / "broken.tif")])
    for path in paths:
        result = map_scene(ColourModel(), path, tmp_path, sheets=sheets)
        assert (read(result.path) == ids).all()
        job = rasterio.open(result.path).tags()["SEGNEXT_JOB"]
        again = map_scene(ColourModel(), path, tmp_path)
        assert rasterio.open(again.path).tags()["SEGNEXT_JOB"] == job


def test_a_broken_neighbour_is_named_and_left_out(tmp_path, log):
    sheets = list(write_sheets(tmp_path, paint(make_ids(170, 230))))
    whole = (tmp_path / "b.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(whole[: len(whole) // 2])
    result = map_scene(ColourModel(), sheets[0], tmp_path, sheets=Sheets(sheets))
    assert (read(result.path) == make_ids(170, 230)[CUTS[0]]).all()
    assert log.read().count("b.tif: cannot be read") == 1
    assert "its neighbours are mapped without it" in log.read()


def test_scenes_of_the_same_ground_are_not_mixed(tmp_path):
    ids = make_ids(60, 60)
    paths = [str(write_scene(tmp_path, paint(ids), f"{year}.tif")) for year in (2020, 2023)]
    path = map_scene(ColourModel(), paths[0], tmp_path, sheets=Sheets(paths)).path
    job = rasterio.open(path).tags()["SEGNEXT_JOB"]
    path = map_scene(ColourModel(), paths[0], tmp_path).path
    assert rasterio.open(path).tags()["SEGNEXT_JOB"] == job


def test_maps_of_sheets_are_one_layer_and_one_table(tmp_path, log):
    ids = make_ids(170, 230)
    sheets = write_sheets(tmp_path, paint(ids))
    maps = [map_scene(ColourModel(), path, tmp_path / "maps") for path in sheets]
    write_index(maps, {"classes": CLASSES, "palette": PALETTE})
    expected = np.full(ids.shape, 255)
    for place in sheets.values():
        expected[place] = ids[place]
    # GDAL opens both indices.
    for name in ("sheets.landcover.vrt", "sheets.gti.gpkg"):
        with rasterio.open(tmp_path / "maps" / name) as raster:
            assert raster.driver in ("VRT", "GTI")
            assert raster.crs.to_epsg() == 2180
            assert raster.transform.almost_equals(TRANSFORM)
            assert (raster.read(1) == expected).all()
            assert raster.colormap(1)[2] == (0, 0, 255, 255)
    _, _, geometry, (locations,) = pyogrio.raw.read(tmp_path / "maps/sheets.gti.gpkg")
    assert [box.area for box in shapely.from_wkb(geometry)] == [2700, 4200, 2000]
    assert list(locations) == [f"{name}.landcover.tif" for name in "abc"]
    lines = (tmp_path / "maps/sheets.areas.csv").read_text().splitlines()[1:4]
    assert [int(line.split(",")[2]) for line in lines] == np.bincount(expected.ravel())[:3].tolist()
    assert "overlap" not in log.read()
    # A sheet that lies on another counts twice, and the log says so.
    twice = write_scene(tmp_path, paint(ids[:50, :50]), "d.tif")
    write_index(
        [*maps, map_scene(ColourModel(), twice, tmp_path / "maps")],
        {"classes": CLASSES, "palette": PALETTE},
    )
    assert "counts the overlaps twice" in log.read()
