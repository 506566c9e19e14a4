"""PNGs of masks: the values that PIL reads, or none."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from mmseg import ops
from mmseg.ops import png
from mmseg.ops.png import decode_png

pytestmark = pytest.mark.skipif(png.kernel is None, reason="numba is not there")


def labels(height=40, width=53):
    """Areas of one class with ragged borders."""
    rng = np.random.default_rng(0)
    areas = np.kron(rng.integers(0, 9, (8, 8)), np.ones((8, 8), int))[:height, :width]
    noisy = rng.random(areas.shape) < 0.1
    return np.where(noisy, rng.integers(0, 256, areas.shape), areas).astype(np.uint8)


def saved(image, **options):
    data = io.BytesIO()
    image.save(data, "PNG", **options)
    return data.getvalue()


def chunk(kind, content):
    crc = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + crc


def made(values, filters, header=b"\x08\0\0\0\0"):
    """Build a PNG whose row i has the filter filters[i % len(filters)], on any values at all."""
    size = b"".join(n.to_bytes(4, "big") for n in values.shape[::-1])
    kinds = np.resize(np.array(filters, np.uint8), len(values))[:, None]
    coded = zlib.compress(np.hstack([kinds, values]).tobytes())
    half = len(coded) // 2
    chunks = [chunk(b"IHDR", size + header), chunk(b"IDAT", coded[:half])]
    return png.START + b"".join([*chunks, chunk(b"IDAT", coded[half:]), chunk(b"IEND", b"")])


@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (0, 4, 1, 3, 2, 4)])
@pytest.mark.parametrize("size", [(40, 53), (1, 9), (9, 1)])
def test_every_filter_is_undone_as_by_pil(filters, size):
    data = made(labels(*size), filters)
    np.testing.assert_array_equal(decode_png(data), np.asarray(Image.open(io.BytesIO(data))))


def test_masks_that_pil_writes_are_read_back():
    grey, coloured = Image.fromarray(labels()), Image.fromarray(labels())
    coloured.putpalette(bytes(range(256)) * 3)
    for image in (grey, coloured):
        np.testing.assert_array_equal(decode_png(saved(image)), labels())


@pytest.mark.parametrize("mode", ["RGB", "LA", "1", "I;16"])
def test_other_kinds_of_png_are_left_to_pil(mode):
    if mode == "I;16":
        image = Image.fromarray(labels().astype(np.uint16))
    else:
        image = Image.fromarray(labels()).convert(mode)
    assert decode_png(saved(image)) is None


def test_an_interlaced_png_and_an_unknown_filter_are_left_to_pil():
    assert decode_png(made(labels(), (0,), header=b"\x08\0\0\0\1")) is None
    assert decode_png(made(labels(), (7,))) is None


def test_a_bit_flipped_anywhere_is_left_to_pil():
    data = made(labels(12, 13), (4, 2))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        assert decode_png(bytes(damaged)) is None, place
        assert decode_png(data[:place]) is None


def test_fewer_or_more_pixels_than_declared_are_left_to_pil():
    whole = made(labels(12, 13), (0,))
    for height in (11, 13, 60_000):
        size = (13).to_bytes(4, "big") + height.to_bytes(4, "big")
        start = png.START + chunk(b"IHDR", size + b"\x08\0\0\0\0")
        assert decode_png(start + whole[len(start) :]) is None


def test_a_short_header_is_left_to_pil():
    header = chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\x08")
    assert decode_png(png.START + header + chunk(b"IEND", b"")) is None


def test_the_plain_path_is_pil():
    with ops.plain():
        assert decode_png(saved(Image.fromarray(labels()))) is None
