"""Areas and resolutions on the ground."""

import pytest
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_geom
from shapely.geometry import shape

from mmseg.raster.georeference import ground_resolution, row_areas

DEGREES, MERCATOR = CRS.from_epsg(4326), CRS.from_epsg(3857)
WORLD_MERCATOR = CRS.from_epsg(3395)  # on the ellipsoid


def test_the_cells_of_the_globe_have_the_area_of_the_ellipsoid():
    areas = row_areas(Affine(1, 0, -180, 0, -1, 90), DEGREES, 180, 360)
    assert areas.sum() * 360 == pytest.approx(510_065_621_724_088, rel=1e-4)
    over_the_poles = row_areas(Affine(1, 0, -180, 0, -1, 90.5), DEGREES, 181, 360)
    assert over_the_poles.sum() * 360 == pytest.approx(510_065_621_724_088, rel=1e-4)


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
@pytest.mark.parametrize(
    ("crs", "corner", "size"),
    [
        (DEGREES, (20, 52), 1e-4),
        (MERCATOR, (2_226_000, 6_800_000), 5),
        (WORLD_MERCATOR, (2_226_000, 6_770_000), 5),
        # Over the date line: 180 degrees are followed by -180 there.
        (DEGREES, (180, -40), 1e-4),
        (MERCATOR, (20_037_506, 6_800_000), 5),
    ],
)
def test_areas_in_degrees_and_mercator_are_those_of_an_equal_area_projection_also_when_turned(
    crs, corner, size, angle
):
    transform = Affine.translation(*corner) * Affine.rotation(angle) * Affine.scale(size, -size)
    areas = row_areas(transform, crs, 60, 40)
    ring = [transform * pixel for pixel in [(0, 0), (40, 0), (40, 60), (0, 60), (0, 0)]]
    middle = {"type": "Point", "coordinates": corner}
    longitude, latitude = transform_geom(crs, DEGREES, middle)["coordinates"]
    plane = CRS.from_string(f"+proj=laea +lon_0={longitude} +lat_0={latitude}")
    expected = shape(transform_geom(crs, plane, {"type": "Polygon", "coordinates": [ring]})).area
    assert areas.sum() * 40 == pytest.approx(expected, rel=1e-4)


def test_a_scene_whose_corners_lie_beside_the_globe_is_measurable():
    globe = CRS.from_string("+proj=ortho +lat_0=0 +lon_0=0")
    assert ground_resolution(Affine(7e4, 0, -7e6, 0, -7e4, 7e6), globe, 200, 200)


def test_a_plane_counts_in_its_own_unit_also_when_turned():
    feet = CRS.from_epsg(2263)
    areas = row_areas(Affine(0, 2, 0, 2, 0, 0), feet, 3, 3)
    assert areas == pytest.approx([4 * 0.3048006096**2] * 3)


def test_the_resolution_is_in_metres():
    transform = Affine(0.5, 0, 500_000, 0, -0.25, 600_000)
    assert ground_resolution(transform, CRS.from_epsg(2180), 10, 10) == (0.25, 0.5)
    down, across = ground_resolution(Affine(1e-5, 0, 20, 0, -1e-5, 60), DEGREES, 100, 100)
    assert down == pytest.approx(1.114, abs=0.002)
    assert across == pytest.approx(0.558, abs=0.002)
