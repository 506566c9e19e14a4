"""GeoTIFFs: what is written is read back, with its place on the map, or is not there at all."""

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from mmseg.errors import UserError
from mmseg.imagery.geotiff import write_geotiff

TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 600_000)


@pytest.mark.parametrize("shape", [(40, 30), (300, 270, 3), (40, 30, 1)])
def test_pixels_and_georeference_survive_a_round_trip(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_geotiff(tmp_path / "a.tif", array, TRANSFORM, "EPSG:2180")
    with rasterio.open(tmp_path / "a.tif") as raster:
        read = raster.read().transpose(1, 2, 0)
        assert np.array_equal(read, array if array.ndim == 3 else array[..., None])
        assert raster.transform == TRANSFORM
        assert raster.crs.to_epsg() == 2180
        assert raster.profile["tiled"] and raster.profile["compress"] == "deflate"


def test_a_place_that_cannot_be_written_is_one_line_for_the_user(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file/a\.tif: cannot be written") as caught:
        write_geotiff(tmp_path / "file/a.tif", np.zeros((9, 9), np.uint8), TRANSFORM, "EPSG:2180")
    assert "\n" not in str(caught.value)
