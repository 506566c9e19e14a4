"""Maps of a part of a scene."""

import json

import numpy as np
import pytest
import shapely
from scenes import DEGREES, ColourModel, make_ids, map_pixels, paint, read

from mmseg.errors import UserError

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
