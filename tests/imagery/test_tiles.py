"""Tiles of a raster: numbering, content, memory, and files that cannot be read."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from mmseg.errors import UserError
from mmseg.imagery.tiles import full_tiles, iter_full_tiles, raster_shape


def write_raster(path: Path, pixels: np.ndarray, **options: object) -> Path:
    height, width, bands = pixels.shape
    size = {"height": height, "width": width, "count": bands, "dtype": pixels.dtype}
    place = {"transform": rasterio.Affine(0.25, 0, 5e5, 0, -0.25, 5e6), "crs": "EPSG:2180"}
    with rasterio.open(path, "w", driver="GTiff", **size, **(place | options)) as raster:
        raster.write(pixels.transpose(2, 0, 1))
    return path


@pytest.fixture
def pixels() -> np.ndarray:
    # 150 x 210 pixels in tiles of 64: 2 x 3 full tiles in a numbering of 3 x 4.
    return np.random.default_rng(0).integers(0, 256, (150, 210, 3), np.uint8)


def test_tile_numbers_keep_the_gaps_of_the_dropped_edge_tiles():
    assert full_tiles(150, 210, 64) == [0, 1, 2, 4, 5, 6]
    assert full_tiles(128, 192, 64) == [0, 1, 2, 3, 4, 5]
    assert full_tiles(63, 640, 64) == []


def test_a_tile_holds_the_pixels_of_its_place_in_band_order(tmp_path, pixels):
    tiles = dict(iter_full_tiles(write_raster(tmp_path / "a.tif", pixels), 64))
    assert list(tiles) == full_tiles(150, 210, 64)
    for k, tile in tiles.items():
        y, x = k // 4 * 64, k % 4 * 64
        assert tile.dtype == np.uint8
        np.testing.assert_array_equal(tile, pixels[y : y + 64, x : x + 64])


def test_one_row_of_tiles_is_read_at_a_time(tmp_path, pixels, monkeypatch):
    heights = []
    read = rasterio.DatasetReader.read

    class Reader(rasterio.DatasetReader):
        def read(self, *args, **kwargs):
            band = read(self, *args, **kwargs)
            heights.append(band.shape[1])
            return band

    path = write_raster(tmp_path / "a.tif", pixels)
    monkeypatch.setattr(rasterio, "open", Reader)
    assert len(list(iter_full_tiles(path, 64))) == 6
    assert heights == [64, 64]


def test_a_raster_without_georeference_gives_no_warning(tmp_path, pixels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write_raster(tmp_path / "a.tif", pixels, transform=None, crs=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert raster_shape(path) == (150, 210, 3)
        assert len(list(iter_full_tiles(path, 64))) == 6


def test_a_file_that_is_no_whole_raster_of_8_bits_is_named(tmp_path, pixels):
    page, short = tmp_path / "page.tif", write_raster(tmp_path / "short.tif", pixels)
    page.write_text("<html>not found</html>")
    short.write_bytes(short.read_bytes()[: short.stat().st_size // 2])
    deep = write_raster(tmp_path / "deep.tif", pixels.astype(np.uint16))
    messages = {page: "not a readable raster", short: "cut short", deep: "samples are uint16"}
    for path, message in messages.items():
        with pytest.raises(UserError, match=f"{path.name}: .*{message}"):
            list(iter_full_tiles(path, 64))


@pytest.mark.parametrize(
    ("name", "shape"), [("N-33-60-D-c-4-2", (4701, 4136, 1)), ("N-34-97-D-c-2-4", (4672, 4230, 3))]
)
def test_real_landcover_masks_are_tiled(real_data, name, shape):
    path = real_data / "landcoverai_masks" / f"{name}.tif"
    assert raster_shape(path) == shape
    tiles = dict(iter_full_tiles(path))
    assert list(tiles) == [row * 9 + column for row in range(9) for column in range(8)]
    values = set()
    for tile in tiles.values():
        assert (tile == tile[:, :, :1]).all()
        values |= set(np.unique(tile).tolist())
    assert values <= {0, 1, 2, 3, 4} and 4 in values


def test_a_header_that_declares_more_than_the_file_can_hold_is_refused(tmp_path):
    path = tmp_path / "huge.tif"
    size = {"height": 2_000_000, "width": 2_000_000, "count": 1, "dtype": "uint8"}
    block = {"tiled": True, "blockxsize": 8192, "blockysize": 8192, "SPARSE_OK": True}
    with rasterio.open(path, "w", driver="GTiff", BIGTIFF="YES", **size, **block):
        pass
    with pytest.raises(UserError, match=r"huge\.tif: declares 2000000x2000000 pixels, but has"):
        next(iter_full_tiles(path))


def test_a_description_that_opens_another_file_is_no_raster(tmp_path):
    write_raster(tmp_path / "secret.tif", np.zeros((64, 64, 1), np.uint8))
    rasterio.shutil.copy(tmp_path / "secret.tif", tmp_path / "open.tif", driver="VRT")
    assert (tmp_path / "open.tif").read_text().startswith("<VRTDataset")
    with pytest.raises(UserError, match=r"open\.tif: not a readable raster"):
        raster_shape(tmp_path / "open.tif")
