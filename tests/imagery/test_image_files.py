"""The bytes of image files: whole, or refused by name before a decoder sees them."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from mmseg.errors import UserError
from mmseg.imagery import read_image, read_mask
from mmseg.imagery.image import read_file


def encoded(kind):
    data = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(data, kind)
    return data.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_file_is_refused_by_name(tmp_path, kind):
    path = tmp_path / f"half.{kind.lower()}"
    data = encoded(kind)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"half\..*: the image is truncated"):
        read_file(str(path), "image")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("more", [b"\0" * 100, b"\xff\xda film" * 10_000], ids=["zeros", "a film"])
def test_file_with_bytes_after_its_end_is_read(tmp_path, kind, more):
    path = tmp_path / "a"
    path.write_bytes(encoded(kind) + more)
    assert read_file(str(path), "image") == path.read_bytes()


def test_small_png_that_declares_gigabytes_is_refused(tmp_path):
    data = encoded("PNG")
    size = data[12:16] + (60_000).to_bytes(4, "big") * 2 + data[24:29]
    chunk = data.index(b"IDAT") - 4  # begins with its length
    damaged = {
        "too large; cut it": data[:12] + size + zlib.crc32(size).to_bytes(4, "big") + data[33:],
        "truncated": data[:chunk] + b"\xfa" + data[chunk + 1 :],
    }
    for message, content in damaged.items():
        (tmp_path / "bomb.png").write_bytes(content)
        for kind, read in (("mask", read_mask), ("image", read_image)):
            with pytest.raises(UserError, match=rf"bomb\.png: the {kind} is {message}"):
                read(tmp_path / "bomb.png")


def test_jpeg_cut_after_a_thumbnail_is_refused(tmp_path):
    with Image.open(io.BytesIO(encoded("JPEG"))) as image:
        data = io.BytesIO()
        image.save(data, "JPEG", exif=b"Exif\0\0" + encoded("JPEG"))
    path = tmp_path / "camera.jpg"
    for length in (len(data.getvalue()) - 2, len(data.getvalue()) - 400):
        path.write_bytes(data.getvalue()[:length])
        with pytest.raises(UserError, match=r"camera\.jpg: the image is truncated"):
            read_file(str(path), "image")


def test_an_empty_or_absent_file_is_refused_by_name(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(UserError, match=r"empty\.png: cannot decode the mask, the file is empty"):
        read_file(tmp_path / "empty.png", "mask")
    with pytest.raises(UserError, match=r"absent\.png: cannot read the mask \(No such file"):
        read_file(tmp_path / "absent.png", "mask")


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_an_image_is_turned_as_its_orientation_says(tmp_path, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(tmp_path / f"a.{kind}", exif=exif, lossless=True)
    found = read_image(tmp_path / f"a.{kind}")[..., ::-1]
    np.testing.assert_array_equal(found, np.rot90(pixels, -1))
