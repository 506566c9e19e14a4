"""LoadImageFromFile and LoadAnnotations: arrays, or an error that names the file."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image

from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.errors import UserError


@pytest.fixture
def info(image_folder):
    return {
        "img_path": str(image_folder / "img_dir/a.jpg"),
        "seg_map_path": str(image_folder / "ann_dir/a.png"),
        "num_classes": 3,
        "reduce_zero_label": False,
    }


@pytest.mark.parametrize("pixel", [[200, 0, 0], 7], ids=["colour", "grey"])
def test_image_is_bgr_with_its_size(tmp_path, pixel):
    pixels = np.array([[pixel] * 6] * 4, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    results = LoadImageFromFile()({"img_path": str(tmp_path / "a.png")})
    assert results["img"].dtype == np.uint8
    np.testing.assert_array_equal(results["img"], np.full((4, 6, 3), pixel)[..., ::-1])
    assert results["img_shape"] == results["ori_shape"] == (4, 6)
    image = results["img"]  # an image in memory is kept
    assert LoadImageFromFile()(results)["img"] is image


def write_tiff(path, bands, **profile):
    count, height, width = bands.shape
    size = {"count": count, "height": height, "width": width, "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **size, **profile) as raster:
        raster.write(bands)
    return {"img_path": str(path)}


@pytest.mark.parametrize(
    ("count", "profile"),
    [
        (3, {}),
        (3, {"photometric": "MINISBLACK"}),
        (3, {"photometric": "MINISBLACK", "interleave": "band"}),
        (3, {"photometric": "RGB", "interleave": "band"}),
        (3, {"compress": "zstd"}),
        (4, {"photometric": "RGB", "alpha": "YES"}),  # what rasterio calls any fourth band
        (4, {"photometric": "RGB", "alpha": "YES", "interleave": "band"}),
        (4, {"photometric": "RGB", "alpha": "UNSPECIFIED", "compress": "zstd"}),
        (6, {}),
    ],
)
def test_colours_of_a_tiff_are_its_own_whatever_other_bands_it_has(tmp_path, count, profile):
    bands = np.random.default_rng(0).integers(0, 256, (count, 20, 30), dtype=np.uint8)
    info = write_tiff(tmp_path / "a.tif", bands, **profile)
    image = LoadImageFromFile()(info)["img"]
    np.testing.assert_array_equal(image, bands[2::-1].transpose(1, 2, 0))
    assert image.flags.c_contiguous


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("compress", ["deflate", "zstd"])
def test_a_grey_tiff_is_grey_with_and_without_alpha(tmp_path, count, compress):
    bands = np.random.default_rng(0).integers(0, 256, (count, 20, 30), dtype=np.uint8)
    info = write_tiff(tmp_path / "a.tif", bands, compress=compress)
    image = LoadImageFromFile()(info)["img"]
    np.testing.assert_array_equal(image, np.repeat(bands[0, ..., None], 3, axis=2))


def test_a_tiff_without_a_place_gives_no_warning(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((1, 20, 30), np.uint8))
    code = (
        "from mmseg.imagery import read_image, read_mask; read_image('a.tif'); read_mask('a.tif')"
    )
    command = [sys.executable, "-W", "default", "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "NotGeoreferencedWarning" not in result.stderr


@pytest.mark.parametrize("compress", ["deflate", "zstd"])
def test_a_palette_in_a_tiff_is_colour(tmp_path, compress):
    ids = np.random.default_rng(0).integers(0, 3, (1, 20, 30), dtype=np.uint8)
    table = {0: (250, 180, 60, 255), 1: (0, 100, 0, 255), 2: (0, 0, 250, 255)}
    info = write_tiff(tmp_path / "a.tif", ids, compress=compress, photometric="palette")
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        raster.write_colormap(1, table)
    expected = np.array([table[i][2::-1] for i in range(3)], np.uint8)[ids[0]]
    np.testing.assert_array_equal(LoadImageFromFile()(info)["img"], expected)


def test_colours_of_a_tiff_are_the_bands_called_so(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (4, 20, 30), dtype=np.uint8)
    info = write_tiff(tmp_path / "a.tif", bands, alpha="UNSPECIFIED")
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        names = ("undefined", "red", "green", "blue")
        raster.colorinterp = [rasterio.enums.ColorInterp[name] for name in names]
    image = LoadImageFromFile()(info)["img"]
    np.testing.assert_array_equal(image, bands[:0:-1].transpose(1, 2, 0))


@pytest.mark.parametrize(("count", "kind"), [(3, "uint16"), (1, "uint16"), (3, "float32")])
def test_samples_that_are_no_8_bit_colours_are_refused(tmp_path, count, kind):
    info = write_tiff(tmp_path / "a.tif", np.full((count, 8, 9), 0.5, kind))
    with pytest.raises(UserError, match=rf"a\.tif: the samples of the image are {kind}; scale"):
        LoadImageFromFile()(info)


@pytest.mark.parametrize("name", ["a.png", "grey.png", "a.jp2", "a.ppm", "a.pgm", "a.hdr", "a.pfm"])
def test_deep_samples_are_refused_in_every_format(tmp_path, name):
    shape = (48, 40) if name in ("grey.png", "a.pgm") else (48, 40, 3)
    kind = "float32" if name in ("a.hdr", "a.pfm") else "uint16"
    cv2.imwrite(str(tmp_path / name), np.full(shape, 900, kind))
    with pytest.raises(UserError, match=rf"{name}: the samples of the image are {kind}; scale"):
        LoadImageFromFile()({"img_path": str(tmp_path / name)})


def test_photos_in_colour_and_grey_are_read_as_opencv_reads_them_turned_by_their_exif(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    for name, image in (("a.jpg", pixels), ("a.png", pixels), ("grey.jpg", pixels[..., 0])):
        Image.fromarray(image).save(tmp_path / name, exif=exif)
        read = LoadImageFromFile()({"img_path": str(tmp_path / name)})["img"]
        assert read.shape == (9, 8, 3)
        np.testing.assert_array_equal(read, cv2.imread(str(tmp_path / name)))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_reaches_from_black_to_white(tmp_path, bits):
    samples = np.arange(2**bits, dtype=np.uint8)[None, None]
    grey = np.linspace(0, 255, 2**bits).astype(np.uint8)
    for photometric, expected in (("MINISBLACK", grey), ("MINISWHITE", grey[::-1])):
        info = write_tiff(tmp_path / "a.tif", samples, nbits=bits, photometric=photometric)
        np.testing.assert_array_equal(LoadImageFromFile()(info)["img"][0, :, 0], expected)


def test_a_sparse_tiff_is_black_where_it_has_no_tile(tmp_path):
    size = {"count": 3, "height": 64, "width": 64, "dtype": "uint8", "photometric": "RGB"}
    tiles = {"tiled": True, "blockxsize": 32, "blockysize": 32, "SPARSE_OK": "TRUE"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **size, **tiles) as raster:
        window = rasterio.windows.Window(0, 0, 32, 32)
        raster.write(np.full((3, 32, 32), 200, np.uint8), window=window)
    image = LoadImageFromFile()({"img_path": str(tmp_path / "a.tif")})["img"]
    assert (image[:32, :32] == 200).all() and image.sum() == 200 * 3 * 32 * 32


def test_colours_that_only_descriptions_name_are_found(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (5, 6, 7), dtype=np.uint8)
    names = ("Blue", "G", "red edge", "Red (650 nm)", "NIR")
    info = write_tiff(tmp_path / "a.tif", bands)
    with rasterio.open(tmp_path / "a.tif", "r+") as raster:
        raster.descriptions = names
    expected = bands[[0, 1, 3]].transpose(1, 2, 0)
    np.testing.assert_array_equal(LoadImageFromFile()(info)["img"], expected)


def test_labels_are_the_train_ids_of_the_mask(info):
    results = LoadAnnotations()(LoadImageFromFile()({**info, "reduce_zero_label": True}))
    assert results["gt_seg_map"].dtype == np.uint8
    assert results["gt_seg_map"].shape == (48, 64)
    assert results["gt_seg_map"][0, [0, 32, 63]].tolist() == [255, 0, 1]


def test_sizes_that_differ_name_both_files(info, image_folder):
    Image.fromarray(np.zeros((50, 64), np.uint8)).save(image_folder / "ann_dir/a.png")
    loaded = LoadImageFromFile()(info)
    with pytest.raises(UserError, match=r"ann_dir/a\.png.*64x50.*img_dir/a\.jpg 64x48"):
        LoadAnnotations()(loaded)


DAMAGED = {"text": b"404: not found" * 10, "no content": b"\xff\xd8" + b"\0" * 50 + b"\xff\xd9"}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_image_or_mask_is_named(info, image_folder, content):
    loaded = LoadImageFromFile()({**info})
    for name in ("img_dir/a.jpg", "ann_dir/a.png"):
        (image_folder / name).write_bytes(content)
    with pytest.raises(UserError, match=r"img_dir/a\.jpg: cannot decode the image"):
        LoadImageFromFile()(info)
    with pytest.raises(UserError, match=r"ann_dir/a\.png: cannot decode the mask"):
        LoadAnnotations()(loaded)
