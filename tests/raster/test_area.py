"""Areas of interest: which pixels of a scene lie in the polygons of a file."""

import json

import numpy as np
import pyogrio
import pytest
import shapely
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.transform import array_bounds
from rasterio.warp import transform as transform_points
from scenes import DEGREES, ColourModel, make_ids, map_pixels, paint, read

from mmseg.errors import UserError
from mmseg.raster.vector_files import read_polygons

PLACE = {"crs": "EPSG:4326", "transform": DEGREES}


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


def write_geojson(path, kind, coordinates) -> str:
    path.write_text(json.dumps({"type": kind, "coordinates": coordinates}))
    return str(path)


def test_only_the_area_of_interest_is_mapped(colour_model, tmp_path):
    ids = make_ids(96, 120)
    west, south, east, north = 20.0, 51.9995, 20.0005, 51.9998
    box = shapely.geometry.mapping(shapely.box(west, south, east, north))
    aoi = write_geojson(tmp_path / "area.geojson", "Polygon", box["coordinates"])
    result = map_pixels(colour_model, tmp_path, paint(ids), profile=PLACE, aoi=aoi)
    expected = np.full_like(ids, 255)
    expected[20:50, :50] = ids[20:50, :50]
    assert (read(result.path) == expected).all()
    # Of 4 x 5 windows, every 24 pixels, 3 x 3 touch it.
    assert colour_model.windows == 3 * 3


def test_an_area_of_interest_beside_the_scene_is_told(colour_model, tmp_path, log):
    ring = [[21, 52], [21.1, 52], [21.1, 52.1], [21, 52]]
    aoi = write_geojson(tmp_path / "area.geojson", "Polygon", [ring])
    result = map_pixels(colour_model, tmp_path, paint(make_ids(40, 40)), profile=PLACE, aoi=aoi)
    assert "the area of interest lies elsewhere: nothing is mapped" in log.read()
    assert (read(result.path) == 255).all()


def test_lines_and_tables_are_no_area_of_interest(colour_model, tmp_path):
    write_geojson(tmp_path / "line.geojson", "LineString", [[20, 52], [20.1, 51.9]])
    (tmp_path / "table.csv").write_text("name,number\na,1\n")
    for name in ("line.geojson", "table.csv"):
        with pytest.raises(UserError, match=rf"{name}: there are no polygons in it"):
            pixels = paint(make_ids(40, 40))
            map_pixels(colour_model, tmp_path, pixels, profile=PLACE, aoi=str(tmp_path / name))


def boxes(path, *corners) -> str:
    """Write boxes (west, south, east, north) in degrees."""
    shape = shapely.MultiPolygon([shapely.box(*box) for box in corners])
    return write_geojson(path, "MultiPolygon", shapely.geometry.mapping(shape)["coordinates"])


def inside(aoi: str, crs: str, transform: Affine, height: int, width: int) -> np.ndarray:
    box = array_bounds(height, width, transform)
    polygons, *_ = read_polygons(aoi, CRS.from_string(crs), box)
    return geometry_mask(polygons, (height, width), transform, invert=True)


def test_the_edges_of_an_area_in_another_crs_are_those_of_its_file(tmp_path):
    west, south, east, north = 9.2, 49.9, 9.9, 50.2
    (x,), (y,) = transform_points("EPSG:4326", "EPSG:25832", [(west + east) / 2], [north])
    for turn in (0, 20):
        place = Affine.translation(x - 2500, y + 500) * Affine.rotation(turn) * Affine.scale(5, -5)
        rows, columns = np.indices((200, 1000)) + 0.5
        points = place * (columns.ravel(), rows.ravel())
        longitudes, latitudes = map(np.array, transform_points("EPSG:25832", "EPSG:4326", *points))
        expected = (longitudes > west) & (longitudes < east) & (latitudes < north)
        aoi = boxes(tmp_path / "area.geojson", (west, south, east, north))
        assert (inside(aoi, "EPSG:25832", place, 200, 1000).ravel() == expected).all()


@pytest.mark.parametrize(
    ("crs", "x", "y", "size"),
    [
        ("EPSG:25832", 500_000, 5_600_000, 100),
        ("EPSG:32617", 450_000, 3_100_000, 100),
        ("EPSG:3031", -10_000, 10_000, 100),  # the south pole
        ("EPSG:4258", 10, 50, 0.001),
        ("EPSG:4258", -180, 90, 1.8),
    ],
)
def test_the_whole_world_and_its_quarters_hold_what_lies_in_them(tmp_path, crs, x, y, size):
    place = Affine(size * 2, 0, x, 0, -size, y)
    world = boxes(tmp_path / "world.geojson", (-180, -90, 180, 90))
    assert inside(world, crs, place, 100, 100).all()
    quarters = [(w, s, w + 180, s + 90) for w in (-180, 0) for s in (-90, 0)]
    parts = [inside(boxes(tmp_path / "part.geojson", q), crs, place, 100, 100) for q in quarters]
    assert (sum(part.astype(int) for part in parts) == 1).mean() > 0.98  # seams fall on pixels


@pytest.mark.parametrize(
    ("crs", "place"),
    [
        ("EPSG:4326", Affine(1e-5, 0, 179.9995, 0, -1e-5, -17)),
        ("EPSG:4326", Affine(1e-5, 0, -180.0005, 0, -1e-5, -17)),
        ("EPSG:4258", Affine(1e-5, 0, 179.9995, 0, -1e-5, -17)),
        ("EPSG:32760", Affine(1, 0, 819_402, 0, -1, 8_117_998)),
        ("EPSG:3832", Affine(1, 0, 3_339_534, 0, -1, -1_903_000)),
    ],
)
def test_an_area_on_both_sides_of_the_date_line_is_one(tmp_path, crs, place):
    halves = (179, -18, 180, -16), (-180, -18, -179, -16)
    both, west, east = (
        inside(boxes(tmp_path / "area.geojson", *part), crs, place, 40, 100)
        for part in (halves, halves[:1], halves[1:])
    )
    assert both.all() and west.any() and east.any() and not (west & east).any()


def test_the_polygons_of_all_layers_count_also_of_those_that_cross_themselves(tmp_path):
    folder = (
        "<Folder><name>{0}</name><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>"
        "{1}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></Folder>"
    )
    rings = {
        "box": ((20, 52), (20.0002, 52), (20.0002, 51.9998), (20, 51.9998)),
        "bow": (
            (20.0004, 52),
            (20.0006, 51.9998),
            (20.0006, 52),
            (20.0004, 51.9998),
            (20.0004, 52),
        ),
    }
    texts = [" ".join(f"{x},{y},7" for x, y in (*ring, ring[0])) for ring in rings.values()]
    layers = [folder.format(name, text) for name, text in zip(rings, texts, strict=True)]
    (tmp_path / "two.kml").write_text(
        '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        + "".join(layers)
        + "</Document></kml>"
    )
    found = inside(str(tmp_path / "two.kml"), "EPSG:4326", DEGREES, 40, 80)
    assert found[:20, :20].all() and not found[:, 20:40].any() and not found[20:].any()
    assert 180 <= found[:20, 40:60].sum() <= 220  # half of 20 x 20


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_layer_of_points_needs_no_crs(tmp_path):
    path, options = tmp_path / "area.gpkg", {"field_data": [], "fields": []}
    for layer, shape, crs in (
        ("box", shapely.box(20, 51, 21, 52), "EPSG:4326"),
        ("points", shapely.Point(0, 0), None),
    ):
        shapes = np.array([shape.wkb], object)
        kind = {"layer": layer, "geometry_type": shape.geom_type, "crs": crs}
        pyogrio.raw.write(path, shapes, **options, **kind)
    polygons, *_ = read_polygons(str(path), CRS.from_epsg(4326), (20, 51, 22, 52))
    assert [polygon.bounds for polygon in polygons] == [(20, 51, 21, 52)]
