"""Maps for others: simplified polygons, formats, styles, attribute tables, confidence."""

import json
import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.shutil
import shapely
from pyarrow.parquet import read_table
from rasterio.crs import CRS
from rasterio.warp import transform
from scenes import CLASSES, PALETTE, TRANSFORM, ColourModel, map_pixels, paint, read, write_scene
from scipy.ndimage import gaussian_filter
from test_polygons import read_polygons

from mmseg.errors import UserError
from mmseg.raster import MapOptions, map_scene


def blobs(height: int, width: int, sigma: float = 6.0) -> np.ndarray:
    """Classes with round edges, uint8 (height, width)."""
    noise = np.random.default_rng(0).normal(size=(3, height, width))
    return gaussian_filter(noise, (0, sigma, sigma)).argmax(0).astype(np.uint8)


@pytest.mark.parametrize("block", [1024, 100])
def test_simplified_polygons_keep_common_edges_and_areas(tmp_path, monkeypatch, block):
    monkeypatch.setattr("mmseg.raster.polygons.BLOCK", block)
    ids = blobs(330, 250, sigma=10)
    valid = np.ones(ids.shape, bool)
    valid[:40, :70] = False
    pixels, profile = paint(ids) * valid, {"nodata": 0}
    map_pixels(ColourModel(), tmp_path, pixels, profile=profile, vectors="gpkg")
    _, exact, _ = read_polygons(tmp_path / "scene.landcover.gpkg")
    map_pixels(ColourModel(), tmp_path, pixels, profile=profile, vectors="gpkg", simplify=1.0)
    _, polygons, fields = read_polygons(tmp_path / "scene.landcover.gpkg")
    assert len(polygons) == len(exact)
    assert shapely.is_valid(polygons).all()
    assert set(shapely.get_type_id(polygons)) == {shapely.GeometryType.POLYGON}
    assert shapely.coverage_is_valid(polygons)
    count = shapely.get_num_coordinates
    assert count(polygons).sum() < 0.25 * count(exact).sum()
    # The coverage has no gaps: its union is the mapped area, whose edges it keeps but for nodata.
    union = shapely.union_all(polygons)
    assert union.area == pytest.approx(valid.sum() / 4, rel=0.005)
    for class_id in range(len(CLASSES)):
        of_class = fields["class_id"] == class_id
        mapped = ((ids == class_id) & valid).sum() / 4
        assert shapely.area(polygons[of_class]).sum() == pytest.approx(mapped, rel=0.005)
        assert fields["area_m2"][of_class].sum() == pytest.approx(mapped)
    # Every vertex is a corner of a pixel.
    columns, rows = ~TRANSFORM * tuple(shapely.get_coordinates(polygons).T)
    assert np.abs(columns - np.rint(columns)).max() < 1e-6
    assert np.abs(rows - np.rint(rows)).max() < 1e-6


def test_polygons_come_in_four_formats_that_say_the_same(tmp_path):
    scene = write_scene(tmp_path, paint(blobs(60, 60)))
    folders = {kind: tmp_path / kind for kind in ("gpkg", "fgb", "geojson", "parquet")}
    for kind, folder in folders.items():
        map_scene(ColourModel(), scene, folder, MapOptions(vectors=kind))
        assert (folder / f"scene.landcover.{kind}").is_file()
        assert len(list(folder.glob("scene.landcover.*"))) == 4  # tif, its sidecar, qml
    _, polygons, fields = read_polygons(folders["gpkg"] / "scene.landcover.gpkg")
    table = read_table(folders["parquet"] / "scene.landcover.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    assert CRS.from_user_input(json.dumps(geo["columns"]["geom"]["crs"])).to_epsg() == 2180
    assert (shapely.from_wkb(table["geom"].to_numpy()) == polygons).all()
    assert (table["class_name"].to_numpy() == fields["class_name"]).all()
    for kind, crs, exact in (("fgb", "EPSG:2180", 0), ("geojson", "EPSG:4326", 0.01)):
        path = folders[kind] / f"scene.landcover.{kind}"
        meta, _, geometry, values = pyogrio.raw.read(path)
        assert meta["crs"] == crs
        found = shapely.transform(
            shapely.from_wkb(geometry),
            lambda at, crs=crs: np.stack(transform(crs, "EPSG:2180", *at.T), axis=1),
        )
        union = {c: shapely.union_all(found[values[0] == c]) for c in range(3)}
        for class_id, shape in union.items():
            expected = shapely.union_all(polygons[fields["class_id"] == class_id])
            tolerance = max(exact * expected.length, 1e-6)
            assert shapely.symmetric_difference(shape, expected).area <= tolerance


def test_the_geopackage_and_the_sidecar_hold_names_and_colours(tmp_path):
    ids = blobs(60, 60)
    result = map_pixels(ColourModel(), tmp_path, paint(ids), vectors="gpkg")
    with closing(sqlite3.connect(tmp_path / "scene.landcover.gpkg")) as database:
        query = "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ((table, column, is_default, style),) = database.execute(query).fetchall()
        kind = "SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'"
        assert database.execute(kind).fetchone() == ("attributes",)
    assert (table, column, is_default) == ("landcover", "geom", 1)
    assert style == (tmp_path / "scene.landcover.qml").read_text()
    renderer = ElementTree.fromstring(style.partition("\n")[2]).find("renderer-v2")
    labels = {c.get("value"): c.get("label") for c in renderer.iter("category")}
    assert labels == {str(i): name for i, name in enumerate(CLASSES)}
    colours = [p.get("v") for p in renderer.iter("prop") if p.get("k") == "color"]
    assert colours == [",".join(map(str, (*colour, 255))) for colour in PALETTE]
    # GDAL reads the table, and copies it.
    rasterio.shutil.copy(result.path, tmp_path / "copy.tif", driver="GTiff")
    table = ElementTree.parse(tmp_path / "copy.tif.aux.xml").find(".//GDALRasterAttributeTable")
    rows = [[cell.text for cell in row] for row in table.iter("Row")]
    assert [row[:2] for row in rows] == [[str(i), name] for i, name in enumerate(CLASSES)]
    assert [tuple(map(int, row[2:5])) for row in rows] == PALETTE
    assert [float(row[5]) for row in rows] == np.bincount(ids.ravel()).tolist()
    assert [float(row[6]) for row in rows] == pytest.approx(result.areas.hectares)


def test_the_confidence_is_the_largest_probability(tmp_path):
    scene = write_scene(tmp_path, paint(blobs(60, 60)) // 2)
    options = MapOptions(confidence=True, probabilities=True)
    map_scene(ColourModel(), scene, tmp_path, options)
    with rasterio.open(tmp_path / "scene.probabilities.tif") as raster:
        probabilities = raster.read()
    with rasterio.open(tmp_path / "scene.confidence.tif") as raster:
        assert raster.dtypes == ("uint8",)
        assert raster.nodata == 255
        assert raster.scales == pytest.approx([1 / 254])
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert (read(tmp_path / "scene.confidence.tif") == probabilities.max(0)).all()


@pytest.mark.parametrize(
    "options, words",
    [({"vectors": "shp"}, "gpkg, fgb, geojson, parquet"), ({"simplify": -1}, "metres, 0 or more")],
)
def test_an_unknown_format_and_a_negative_distance_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        MapOptions(**options)
