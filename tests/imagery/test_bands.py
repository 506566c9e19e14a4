"""Chosen bands of TIFFs, their valid pixels, and their pictures."""

import numpy as np
import pytest
import rasterio
from PIL import Image

from mmseg.errors import UserError
from mmseg.imagery.bands import picture
from mmseg.imagery.image import read_bands, read_picture

FIVE = ("blue", "green", "red", "rededge", "nir")


def write(path, planes, names=None, **profile):
    size = dict(zip(("count", "height", "width"), planes.shape, strict=True))
    with rasterio.open(path, "w", driver="GTiff", dtype=planes.dtype, **size, **profile) as raster:
        raster.write(planes)
        if names:
            raster.descriptions = names
    return path


@pytest.fixture
def planes():
    return np.random.default_rng(0).integers(1, 60_000, (5, 12, 15)).astype(np.uint16)


def test_bands_come_in_the_order_that_is_asked_for(tmp_path, planes):
    path = write(tmp_path / "a.tif", planes, FIVE)
    image, valid = read_bands(path, ("nir", "red", "green"), "uint16")
    np.testing.assert_array_equal(image, planes[[4, 2, 1]].transpose(1, 2, 0))
    assert image.dtype == np.uint16 and valid.all()


def test_a_file_without_names_has_its_bands_in_order(tmp_path, planes):
    path = write(tmp_path / "a.tif", planes)
    image, _ = read_bands(path, FIVE, "uint16")
    np.testing.assert_array_equal(image, planes.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("named", "wanted", "message"),
    [
        (FIVE, ("red", "swir"), r"has 5 bands \(blue, .*\), 2 are needed \(red, swir\)"),
        (FIVE, ("red", "green", "blue", "nir", "swir"), "has 5 bands .* 5 are needed"),
        (None, FIVE[:4], "has 5 bands .* 4 are needed"),
    ],
)
def test_other_bands_are_one_line_with_both_counts(tmp_path, planes, named, wanted, message):
    path = write(tmp_path / "a.tif", planes, named)
    with pytest.raises(UserError, match=rf"a\.tif: it {message}"):
        read_bands(path, wanted, "uint16")


def test_near_infrared_that_a_file_calls_alpha_is_data(tmp_path):
    planes = np.full((4, 6, 6), 7, np.uint8)
    planes[3, :3] = 0
    path = write(tmp_path / "a.tif", planes, photometric="RGB", alpha="yes")
    image, valid = read_bands(path, ("red", "green", "blue", "nir"), "uint8")
    assert valid.all() and (image[:3, :, 3] == 0).all()
    _, valid = read_bands(path, ("red", "green", "blue"), "uint8")
    assert not valid[:3].any() and valid[3:].all()


def test_pixels_of_the_nodata_value_and_nan_have_no_image(tmp_path, planes):
    planes[:, 2, 3] = 0
    planes[1, 5, 5] = 0
    path = write(tmp_path / "a.tif", planes, nodata=0)
    _, valid = read_bands(path, FIVE, "uint16")
    assert np.argwhere(~valid).tolist() == [[2, 3]]
    floats = planes.astype(np.float32)
    floats[2, 7, 8] = np.nan
    _, valid = read_bands(write(tmp_path / "b.tif", floats), FIVE, "float32")
    assert np.argwhere(~valid).tolist() == [[7, 8]]


def test_other_bits_are_refused_and_every_number_fits_float32(tmp_path, planes):
    path = write(tmp_path / "a.tif", planes)
    with pytest.raises(UserError, match=r"a\.tif: the samples of the image are uint16; scale"):
        read_bands(path, FIVE, "uint8")
    with pytest.raises(UserError, match=r"are uint16; those of the data set are int16 \(metainfo"):
        read_bands(path, FIVE, "int16")
    signed = write(tmp_path / "b.tif", planes.astype(np.int32) - 500)
    image, _ = read_bands(signed, FIVE, "float32")
    np.testing.assert_array_equal(image, planes.transpose(1, 2, 0) - 500.0)


def test_an_8_bit_rgb_image_is_bgr_in_memory_from_any_format(tmp_path):
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    paths = tmp_path / "a.png", write(tmp_path / "a.tif", pixels.transpose(2, 0, 1))
    for path in paths:
        image, _ = read_bands(path, ("red", "green", "blue"), "uint8")
        np.testing.assert_array_equal(image, pixels[..., ::-1])
        np.testing.assert_array_equal(read_picture(path, {}), pixels)


def test_pictures_show_true_and_false_colours(planes):
    image = planes[:, :2, :2].astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(picture(image, FIVE), image[..., [2, 1, 0]])
    np.testing.assert_array_equal(picture(image, FIVE, ("nir",)), image[..., [4, 4, 4]])
    with pytest.raises(UserError, match="bands to show are swir: give one or three of blue,"):
        picture(image, FIVE, ("swir",))
    shown = picture(planes.transpose(1, 2, 0), FIVE, ("nir", "red", "green"))
    assert shown.dtype == np.uint8 and (shown.min(), shown.max()) == (0, 255)
