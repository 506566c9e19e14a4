"""Maps of classes with rasters on other pixels, and points drawn in them."""

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from mmseg.errors import UserError
from mmseg.results.areas import draw_points
from mmseg.results.class_map import ClassMap, aligned_blocks, values_at

PLACE = Affine(10, 0, 500_000, 0, -10, 300_000)


def write(path, values, transform=PLACE, crs="EPSG:2180", nodata=None) -> str:
    size = {"height": values.shape[0], "width": values.shape[1], "dtype": values.dtype}
    place = {"crs": crs, "transform": transform, "nodata": nodata}
    with rasterio.open(path, "w", driver="GTiff", count=1, **size, **place) as raster:
        raster.write(values, 1)
    return str(path)


def test_a_mask_of_other_pixels_and_values_limits_the_map(tmp_path):
    ids = np.random.default_rng(0).integers(0, 3, (600, 40), np.uint8)
    path = write(tmp_path / "map.tif", ids)
    coarse = np.full((150, 10), 7, np.int16)
    coarse[:50] = -1  # of 20 m pixels that begin 100 m further right
    place = PLACE * Affine.translation(10, 0) * Affine.scale(2)
    mask = write(tmp_path / "mask.tif", coarse, place, nodata=-1)
    inside = np.zeros(ids.shape, bool)
    inside[100:300, 10:30] = True
    assert ClassMap(path).hectares == pytest.approx(np.bincount(ids.ravel()) / 100)
    assert ClassMap(path, mask).hectares == pytest.approx(np.bincount(ids[inside]) / 100)
    points = PLACE * (np.array([[10.5, 35.5, -3.5], [150.5, 150.5, 0.5]]))
    assert values_at(mask, ClassMap(path).crs, np.array(points)).tolist() == [7, 255, 255]
    assert all((one == two).all() for _, one, two in aligned_blocks(path, path))
    far = write(tmp_path / "far.tif", coarse, PLACE * Affine.translation(9_000, 0))
    with pytest.raises(UserError, match=r"map\.tif: nothing is mapped where .*far\.tif"):
        ClassMap(path, far)


def test_points_are_drawn_by_area_and_never_twice(tmp_path):
    ids = np.zeros((160, 90), np.uint8)
    ids[:, 60:] = 1  # the rows span 80 degrees, so that their areas differ six times
    path = write(tmp_path / "map.tif", ids, Affine(0.5, 0, 0, 0, -0.5, 80), "EPSG:4326")
    strata = ClassMap(path)
    x, y = draw_points(strata, np.array([3000, 2000]), seed=0)
    places = set(zip(x.tolist(), y.tolist(), strict=True))
    assert len(places) == 5000 and (x < 30).sum() == 3000
    drawn = [draw_points(strata, np.array([300, 0]), seed)[1] for seed in range(20)]
    share = np.mean(np.concatenate(drawn) > 40)
    expected = strata.row_hectares[:80].sum() / strata.row_hectares.sum()
    assert share == pytest.approx(expected, abs=0.025)
    assert strata.hectares.sum() == pytest.approx(strata.row_hectares.sum() * 90)
