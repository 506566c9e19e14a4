"""The area tool from a map to the table, with points and with a mask."""

import csv

import numpy as np
import pyogrio
import pytest
import rasterio.warp
import shapely
from rasterio import Affine
from rasterio.crs import CRS
from run_tool import run_tool

from mmseg.errors import UserError
from mmseg.raster.vector_files import read_points

PIXEL = 10.0  # metres


@pytest.fixture
def world(tmp_path):
    """Make a map of two classes in which a tenth of the pixels is wrong, and its truth."""
    rng = np.random.default_rng(0)
    truth = (rng.random((400, 300)) < 0.3).astype(np.uint8)
    mapped = np.where(rng.random(truth.shape) < 0.1, 1 - truth, truth).astype(np.uint8)
    mapped[:40] = 255
    profile = {"driver": "GTiff", "width": 300, "height": 400, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:2180", "transform": Affine(PIXEL, 0, 500_000, 0, -PIXEL, 300_000)}
    for name, values in (("map.tif", mapped), ("truth.tif", truth)):
        with rasterio.open(tmp_path / name, "w", **profile, **place, nodata=255) as raster:
            raster.write(values, 1)
            raster.update_tags(CLASS_0="land", CLASS_1="water")
    return tmp_path, mapped, truth


def table(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def covers(row, truth, mapped, cls):
    true_ha = (truth[mapped != 255] == cls).sum() * PIXEL**2 / 10_000
    return float(row["low_ha"]) <= true_ha <= float(row["high_ha"])


def test_points_that_were_drawn_and_interpreted_give_intervals_around_the_true_areas(world):
    folder, mapped, truth = world
    points = folder / "points.gpkg"
    run_tool("estimate_areas.py", folder / "map.tif", "--sample", "2000", "--out", points)
    _, _, geometry, (_, texts) = pyogrio.raw.read(points)
    assert len(geometry) == 2000
    assert all(text is None for text in texts)
    xy = shapely.get_coordinates(shapely.from_wkb(geometry))
    columns = ((xy[:, 0] - 500_000) // PIXEL).astype(int)
    rows = ((300_000 - xy[:, 1]) // PIXEL).astype(int)
    assert (mapped[rows, columns] != 255).all()
    # Interpreted in degrees, by name and by id.
    names = np.array(["Land", "1"], object)[truth[rows, columns]]
    lon, lat = rasterio.warp.transform("EPSG:2180", "EPSG:4326", xy[:, 0], xy[:, 1])
    pyogrio.raw.write(
        folder / "done.geojson",
        geometry=shapely.to_wkb(shapely.points(lon, lat)),
        field_data=[names],
        fields=["reference"],
        geometry_type="Point",
        crs="EPSG:4326",
        driver="GeoJSON",
    )
    reference = ("--reference", folder / "done.geojson")
    output = run_tool("estimate_areas.py", folder / "map.tif", *reference).stdout
    assert "overall accuracy" in output
    rows = table(folder / "map.estimate.csv")
    assert [row["class_name"] for row in rows] == ["land", "water"]
    assert all(covers(row, truth, mapped, k) for k, row in enumerate(rows))
    # The pixel count of water is 13 % too high here; the interval does not contain it.
    assert float(rows[1]["mapped_ha"]) == (mapped == 1).sum() * PIXEL**2 / 10_000
    assert float(rows[1]["mapped_ha"]) > float(rows[1]["high_ha"])


def test_a_mask_is_sampled_at_random(world):
    folder, mapped, truth = world
    run_tool("estimate_areas.py", folder / "map.tif", "--reference", folder / "truth.tif")
    rows = table(folder / "map.estimate.csv")
    assert all(covers(row, truth, mapped, k) for k, row in enumerate(rows))


@pytest.mark.parametrize(
    ("count", "message"),
    [(0, "there are no points in it"), (3, "stratum 0 has 0 interpreted points")],
)
def test_points_without_an_interpretation_are_one_error(world, count, message):
    folder = world[0]
    pyogrio.raw.write(
        folder / "new.gpkg",
        geometry=shapely.to_wkb(shapely.points(np.full((count, 2), 300_000.0))),
        field_data=[np.full(count, None, object)],
        fields=["reference"],
        geometry_type="Point",
        crs="EPSG:2180",
    )
    reference = ("--reference", folder / "new.gpkg")
    result = run_tool("estimate_areas.py", folder / "map.tif", *reference)
    assert message in result.stderr.splitlines()[-1]


def test_points_that_cannot_be_laid_on_the_map_are_named(tmp_path):
    path = tmp_path / "points.gpkg"
    points = {"geometry": shapely.to_wkb(shapely.points([[1000.0, 2000.0]]))}
    fields = {"field_data": [np.array(["land"])], "fields": ["reference"]}
    pyogrio.raw.write(
        path, **points, **fields, geometry_type="Point", crs="EPSG:4326", driver="GPKG"
    )
    with pytest.raises(UserError, match=r"points\.gpkg: cannot be laid on the scene"):
        read_points(str(path), "reference", CRS.from_epsg(32633))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --reference FILE, or --sample"),
        (["--reference", "map.tif.missing"], "not a readable layer"),
        (["--sample", "--out", "map.tif"], "map.tif: exists"),
    ],
)
def test_a_mistake_is_one_line(world, arguments, message, monkeypatch):
    monkeypatch.chdir(world[0])
    result = run_tool("estimate_areas.py", "map.tif", *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
