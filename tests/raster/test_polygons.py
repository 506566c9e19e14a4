"""The GeoPackage of a map."""

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from scenes import CLASSES, TRANSFORM, ColourModel, make_ids, map_pixels, paint, write_scene

from mmseg.errors import UserError
from mmseg.raster import MapOptions, map_scene


def read_polygons(path) -> tuple[dict, np.ndarray, dict]:
    """Return the layer's facts, its polygons and its fields by name."""
    meta, _, geometries, values = pyogrio.raw.read(path, layer="landcover")
    return meta, shapely.from_wkb(geometries), dict(zip(meta["fields"], values, strict=True))


def test_polygons_are_the_map_without_gaps_and_their_areas_its_pixels(tmp_path):
    ids = make_ids(300, 90)
    ids[100:164, 16:80] = 0
    ids[116:140, 32:56] = 2  # a hole, kept
    valid = np.ones(ids.shape, bool)
    valid[:40, :40] = False
    model = ColourModel()
    model.gain.data.fill_(1.0)
    profile = {"nodata": 0}
    result = map_pixels(model, tmp_path, paint(ids) * valid, profile=profile, vectors="gpkg")
    meta, polygons, fields = read_polygons(tmp_path / "scene.landcover.gpkg")
    assert CRS.from_user_input(meta["crs"]).to_epsg() == 2180
    shapes = zip(polygons, fields["class_id"], strict=True)
    drawn = rasterize(shapes, ids.shape, fill=255, transform=TRANSFORM)
    assert (drawn == np.where(valid, ids, 255)).all()
    assert sum(p.area for p in polygons) == pytest.approx(shapely.union_all(polygons).area)
    assert fields["area_m2"] == pytest.approx([p.area for p in polygons])
    for class_id, name in enumerate(CLASSES):
        of_class = fields["class_id"] == class_id
        assert (fields["class_name"][of_class] == name).all()
        pixels = result.areas.pixels[class_id]
        assert fields["area_m2"][of_class].sum() == pytest.approx(pixels / 4)
    assert all(p.is_valid for p in polygons)
    assert max(len(p.interiors) for p in polygons) > 0
    # The model is as sure of every pixel: softmax of (80, -80, -80) / 60.
    assert fields["confidence"] == pytest.approx(0.878, abs=0.002)


def test_islands_below_the_smallest_area_are_gone(tmp_path):
    ids = np.zeros((100, 100), np.uint8)
    ids[20:24, 20:24] = 1  # 4 m2
    ids[60:70, 60:70] = 1  # 25 m2
    map_pixels(ColourModel(), tmp_path, paint(ids), vectors="gpkg", min_area=10)
    _, polygons, fields = read_polygons(tmp_path / "scene.landcover.gpkg")
    assert sorted(fields["area_m2"]) == [25, 2475]
    assert sorted(p.area for p in polygons) == [25, 2475]


def test_areas_of_polygons_in_degrees_are_those_of_the_ground(tmp_path):
    ids = make_ids(80, 80, block=40)
    place = {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 20, 0, -1e-4, 52)}
    map_pixels(ColourModel(), tmp_path, paint(ids), profile=place, vectors="gpkg")
    _, polygons, fields = read_polygons(tmp_path / "scene.landcover.gpkg")
    plane = CRS.from_string("+proj=laea +lat_0=52 +lon_0=20")
    projected = [
        transform_geom("EPSG:4326", plane, shapely.geometry.mapping(polygon))
        for polygon in polygons
    ]
    expected = [shapely.geometry.shape(shape).area for shape in projected]
    assert fields["area_m2"] == pytest.approx(expected, rel=1e-5)


def test_the_same_map_gives_the_same_geopackage(tmp_path):
    scene = write_scene(tmp_path, paint(make_ids(80, 80)))
    for folder in ("a", "b"):
        map_scene(ColourModel(), scene, tmp_path / folder, MapOptions(vectors="gpkg"))
    one, two = ((tmp_path / f / "scene.landcover.gpkg").read_bytes() for f in ("a", "b"))
    assert one == two


def test_files_that_a_full_disk_cut_short_do_not_stop_the_next_run(tmp_path):
    scene = write_scene(tmp_path, paint(make_ids(80, 80)))
    folder = tmp_path / ".scene.unfinished"

    def fill(done: int, total: int) -> None:
        if done == total:
            for name in ("regions.tif", "gpkg"):
                (folder / f"scene.landcover.{name}").write_bytes(b"II*\0\x08\0\0\0")  # a header

    map_scene(ColourModel(), scene, tmp_path, MapOptions(vectors="gpkg"), progress=fill)
    assert len(read_polygons(tmp_path / "scene.landcover.gpkg")[1]) > 1


def test_a_geopackage_without_its_index_is_not_published(tmp_path, monkeypatch):
    write = pyogrio.raw.write
    monkeypatch.setattr(pyogrio.raw, "write", lambda *a, **k: write(*a, SPATIAL_INDEX="NO", **k))
    with pytest.raises(UserError, match=r"gpkg: cannot be written \(no such table"):
        map_pixels(ColourModel(), tmp_path, paint(make_ids(80, 80)), vectors="gpkg")
    assert not list(tmp_path.glob("scene.landcover*"))


def test_a_scene_without_anything_to_map_has_no_polygons(tmp_path):
    empty = np.zeros((3, 40, 40), np.uint8)
    map_pixels(ColourModel(), tmp_path, empty, profile={"nodata": 0}, vectors="gpkg")
    _, polygons, _ = read_polygons(tmp_path / "scene.landcover.gpkg")
    assert len(polygons) == 0


def test_a_scene_of_any_name_has_polygons_or_is_refused_before_it_is_mapped(tmp_path):
    options = MapOptions(vectors="gpkg")
    scene = write_scene(tmp_path, paint(make_ids(40, 40)), "[v1] x?.tif")
    found = map_scene(ColourModel(), scene, tmp_path / "out", options).path.with_suffix(".gpkg")
    assert sum(p.area for p in read_polygons(found)[1]) == 40 * 40 / 4
    scene = write_scene(tmp_path, paint(make_ids(40, 40)), "final!.tif")  # GDAL: an archive
    with pytest.raises(UserError, match="cannot be written to a path with ! or ;"):
        map_scene(ColourModel(), scene, tmp_path / "out", options)


@pytest.mark.parametrize("companion", ["-wal", "-journal"])
def test_a_geopackage_that_another_program_has_open_is_kept(tmp_path, companion):
    scene, options = write_scene(tmp_path, paint(make_ids(40, 40))), MapOptions(vectors="gpkg")
    package = tmp_path / "scene.landcover.gpkg"
    package.write_text("edited in QGIS")
    other = tmp_path / f"scene.landcover.gpkg{companion}"
    other.write_text("edits")
    with pytest.raises(
        UserError, match=r"scene\.landcover\.gpkg: is open in a program such as QGIS"
    ):
        map_scene(ColourModel(), scene, tmp_path, options)
    assert package.read_text() == "edited in QGIS"
    other.unlink()
    map_scene(ColourModel(), scene, tmp_path, options)
    assert len(read_polygons(package)[1])
