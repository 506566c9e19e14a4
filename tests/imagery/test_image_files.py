"""The bytes of image files: whole, or refused by name before a decoder sees them."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from mmseg.errors import UserError
from mmseg.imagery.files import read_file


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
def test_file_with_bytes_after_its_end_is_read(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(encoded(kind) + b"\0" * 100)
    assert read_file(str(path), "image") == path.read_bytes()


def test_jpeg_cut_after_a_thumbnail_is_refused(tmp_path):
    with Image.open(io.BytesIO(encoded("JPEG"))) as image:
        data = io.BytesIO()
        image.save(data, "JPEG", exif=b"Exif\0\0" + encoded("JPEG"))
    path = tmp_path / "camera.jpg"
    for length in (len(data.getvalue()) - 2, len(data.getvalue()) - 400):
        path.write_bytes(data.getvalue()[:length])
        with pytest.raises(UserError, match=r"camera\.jpg: the image is truncated"):
            read_file(str(path), "image")


def test_photo_with_a_film_after_its_end_is_read(tmp_path):
    path = tmp_path / "motion.jpg"
    path.write_bytes(encoded("JPEG") + b"\xff\xda film" * 10_000)
    assert read_file(str(path), "image") == path.read_bytes()


def test_small_file_that_declares_gigabytes_is_refused(tmp_path):
    data = bytearray(encoded("PNG"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"bomb\.png: the mask is too large; cut it"):
        read_file(str(path), "mask")


def test_png_whose_chunk_declares_gigabytes_is_refused(tmp_path):
    data = encoded("PNG")
    at = data.index(b"IDAT")
    path = tmp_path / "damaged.png"
    path.write_bytes(data[: at - 4] + b"\xfa" + data[at - 3 :])
    with pytest.raises(UserError, match=r"damaged\.png: the image is truncated"):
        read_file(str(path), "image")


def test_an_empty_or_absent_file_is_refused_by_name(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(UserError, match=r"empty\.png: cannot decode the mask, the file is empty"):
        read_file(tmp_path / "empty.png", "mask")
    with pytest.raises(UserError, match=r"absent\.png: cannot read the mask \(No such file"):
        read_file(tmp_path / "absent.png", "mask")
