"""The place of a scene reaches its map, however the file says it."""

import pyogrio
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from scenes import TRANSFORM, ColourModel, make_ids, map_pixels, paint, write_scene

from mmseg.raster import map_scene

POINTS = [GroundControlPoint(0, 0, 5e5, 56e5), GroundControlPoint(0, 40, 500_020, 56e5)]
POINTS += [
    GroundControlPoint(40, 0, 5e5, 5_599_980),
    GroundControlPoint(40, 40, 500_020, 5_599_980),
]


@pytest.fixture
def colour_model() -> ColourModel:
    return ColourModel()


def test_a_crs_that_no_geotiff_holds_is_that_of_the_map_and_its_polygons(colour_model, tmp_path):
    heights = {"crs": "EPSG:32651+4979", "transform": TRANSFORM}  # GDAL keeps it in .aux.xml
    scene = write_scene(tmp_path, paint(make_ids(40, 40)), **heights)
    result = map_pixels(
        colour_model, tmp_path, paint(make_ids(40, 40)), None, heights, vectors="gpkg"
    )
    with rasterio.open(scene) as source, rasterio.open(result.path) as raster:
        assert source.crs.to_wkt() == raster.crs.to_wkt()
        assert raster.transform == TRANSFORM
    assert "UTM zone 51N" in pyogrio.read_info(tmp_path / "scene.landcover.gpkg")["crs"]
    map_pixels(colour_model, tmp_path, paint(make_ids(40, 40, seed=1)))  # again, in another place
    assert "<SRS" not in (tmp_path / "scene.landcover.tif.aux.xml").read_text()


def test_ground_control_points_and_rpcs_are_those_of_the_map(colour_model, tmp_path):
    pixels = paint(make_ids(40, 40))
    scene = tmp_path / "gcp.tif"
    size = {"count": 3, "height": 40, "width": 40, "dtype": "uint8", "crs": "EPSG:25832"}
    with rasterio.open(scene, "w", driver="GTiff", gcps=POINTS, **size) as raster:
        raster.write(pixels)
    with rasterio.open(map_scene(colour_model, scene, tmp_path / "out").path) as raster:
        points, crs = raster.gcps
        assert crs == "EPSG:25832" and raster.transform.is_identity
        found, expected = ([(p.row, p.col, p.x, p.y) for p in ps] for ps in (points, POINTS))
        assert found == expected
    numbers = [n / 20 for n in range(20)]
    offsets = {"height_off": 7.0, "lat_off": 51.0, "long_off": 9.0, "line_off": 20.0}
    scales = {"height_scale": 10.0, "lat_scale": 2.0, "long_scale": 3.0, "line_scale": 20.0}
    more = {"samp_off": 20.0, "samp_scale": 20.0, "err_bias": None, "err_rand": None}
    kinds = [f"{axis}_{part}_coeff" for axis in ("line", "samp") for part in ("num", "den")]
    rpc = RPC(**offsets, **scales, **more, **dict.fromkeys(kinds, numbers))
    scene = write_scene(tmp_path, pixels, "rpc.tif", crs=None)
    with rasterio.open(scene, "r+") as raster:
        raster.rpcs = rpc
    with rasterio.open(map_scene(colour_model, scene, tmp_path / "out").path) as raster:
        assert rpc.to_gdal().items() <= raster.rpcs.to_gdal().items()
