"""The change of two maps: raster, tables, zones and mistakes."""

import csv

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio import Affine
from rasterio.warp import transform_geom
from run_tool import run_tool

PLACE = Affine(10, 0, 500_000, 0, -10, 300_000)
COLOURS = {0: (200, 180, 0), 1: (0, 100, 0), 2: (0, 0, 255)}


def write_map(path, ids: np.ndarray, transform: Affine = PLACE, crs: str = "EPSG:2180"):
    size = {"height": ids.shape[0], "width": ids.shape[1], "count": 1, "dtype": "uint8"}
    place = {"crs": crs, "transform": transform, "nodata": 255}
    with rasterio.open(path, "w", driver="GTiff", **size, **place) as raster:
        raster.write(ids, 1)
        raster.write_colormap(1, COLOURS)
        raster.update_tags(CLASS_0="field", CLASS_1="wood", CLASS_2="water")
    return path


@pytest.fixture
def maps(tmp_path):
    """Make two maps of which the later one is larger, and return their ids on common pixels."""
    rng = np.random.default_rng(0)
    before, later = (rng.integers(0, 3, (90, 70), dtype=np.uint8) for _ in range(2))
    before[:5], later[:, :4] = 255, 255
    wider = np.pad(later, 10, constant_values=1)
    write_map(tmp_path / "a.tif", before)
    write_map(tmp_path / "b.tif", wider, PLACE * Affine.translation(-10, -10))
    return before, later


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_pairs_and_hectares_are_those_of_the_pixels_everywhere_and_in_zones(tmp_path, maps):
    before, later = maps
    valid = (before != 255) & (later != 255)
    boxes = [
        shapely.box(500_100, 299_500, 500_400, 299_900),
        shapely.box(500_200, 299_200, 500_650, 299_600),
    ]
    degrees = [transform_geom("EPSG:2180", "EPSG:4326", shapely.geometry.mapping(b)) for b in boxes]
    pyogrio.raw.write(
        tmp_path / "zones.geojson",
        geometry=shapely.to_wkb([shapely.geometry.shape(d) for d in [*degrees, degrees[0]]]),
        field_data=[np.array(["north", "south", "again"], object)],
        fields=["name"],
        geometry_type="Polygon",
        crs="EPSG:4326",
    )
    arguments = ("--zones", tmp_path / "zones.geojson", "--zone-field", "name")
    run_tool("change_map.py", tmp_path / "a.tif", tmp_path / "b.tif", "--out", tmp_path, *arguments)
    with rasterio.open(tmp_path / "change.tif") as raster:
        expected = np.where(valid, before.astype(int) * 3 + later, 65535)
        assert (raster.read(1) == expected).all()
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.nodata == 65535
    table = rows_of(tmp_path / "change.csv")
    assert len(table) == 9
    for row in table:
        pixels = (expected == int(row["from_id"]) * 3 + int(row["to_id"])).sum()
        assert (int(row["pixels"]), float(row["hectares"])) == (pixels, pytest.approx(pixels / 100))
    assert {(r["from"], r["to"]) for r in table} >= {("wood", "water")}
    zones = rows_of(tmp_path / "change.zones.csv")
    for name, place in (
        ("north", np.s_[10:50, 10:40]),
        ("south", np.s_[40:80, 20:65]),
        ("again", np.s_[10:50, 10:40]),
    ):
        found = {
            (int(r["from_id"]), int(r["to_id"])): int(r["pixels"])
            for r in zones
            if r["zone"] == name
        }
        part = expected[place][valid[place]]
        values, counts = np.unique(part, return_counts=True)
        assert sum(found.values()) == pytest.approx(counts.sum(), abs=45)  # edges bend in degrees
        assert all(abs(found[divmod(v, 3)] - c) <= 15 for v, c in zip(values, counts, strict=True))
    style = (tmp_path / "change.qml").read_text()
    assert 'value="5" color="#0000ff" alpha="255" label="wood -&gt; water"' in style
    assert 'value="4" color="#bfd8bf" alpha="255" label="wood -&gt; wood"' in style
    assert "<F>wood -&gt; water</F>" in (tmp_path / "change.tif.aux.xml").read_text()


def test_maps_without_common_ground_and_unknown_fields_are_refused(tmp_path, maps):
    far = write_map(tmp_path / "far.tif", maps[0], PLACE * Affine.translation(500, 0))
    command = ("change_map.py", tmp_path / "a.tif", far, "--out", tmp_path / "out")
    result = run_tool(*command)
    assert "far.tif: shares no mapped pixel" in result.stdout + result.stderr
    assert list((tmp_path / "out").iterdir()) == []
