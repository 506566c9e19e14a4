"""Reading masks: ids come out as they are in the file, or the file is named."""

import struct
import zlib

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image

from mmseg.errors import UserError
from mmseg.imagery.mask import palette_of, read_mask, to_train_ids

IDS = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)


def saved(path, values, **options):
    Image.fromarray(values).save(path, **options)
    return str(path)


@pytest.mark.parametrize(
    ("num_classes", "reduce_zero_label", "expected"),
    [(4, False, [0, 1, 2, 3, 255]), (3, True, [255, 0, 1, 2, 255])],
)
def test_file_values_become_train_ids(num_classes, reduce_zero_label, expected):
    for kind in (np.uint8, np.uint16):
        values = np.array([[0, 1, 2, 3, 255]], kind)
        ids = to_train_ids(values, num_classes, reduce_zero_label, "a.png")
        assert ids.dtype == np.uint8
        assert ids.tolist() == [expected]
        assert values.tolist() == [[0, 1, 2, 3, 255]]  # not changed in place


def test_palette_image_gives_its_indices(tmp_path):
    image = Image.fromarray(IDS, mode="P")
    # Colours whose grey values are no ids, two of them equal.
    image.putpalette([10, 20, 30, 10, 20, 30] + [200, 100, 50] * 254)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(str(tmp_path / "a.png")), IDS)


MASKS = {
    "one channel": IDS,
    "black and white": IDS > 0,
    "16 bits": IDS * np.uint16(9),
    "three equal channels": np.stack([IDS] * 3, axis=-1),
    **{f"size {size}": np.ones(size, np.uint8) for size in ((1, 5), (5, 1), (1, 1))},
}


@pytest.mark.parametrize("values", MASKS.values(), ids=MASKS)
def test_mask_gives_its_values_with_both_axes(tmp_path, values):
    expected = values if values.ndim == 2 else IDS
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "a.png", values)), expected)


def grey_png(samples: np.ndarray, bits: int) -> bytes:
    """Write a grey PNG by hand: PIL and OpenCV write none of few bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    planes = np.unpackbits(samples[..., None], axis=2)[..., 8 - bits :]
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in planes)
    header = struct.pack(">IIBBBBB", *samples.shape[::-1], bits, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def write_tiff(path, values, **profile):
    size = {"count": 1, "height": values.shape[0], "width": values.shape[1]}
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **size, **profile) as raster:
        raster.write(values[None])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_samples_of_few_bits_are_ids_as_they_are_stored(tmp_path, bits):
    values = np.array([[0, 1, 2, 3, 5, 15, 0]], np.uint8) % 2**bits
    (tmp_path / "a.png").write_bytes(grey_png(values, bits))
    write_tiff(tmp_path / "black.tif", values, nbits=bits)
    write_tiff(tmp_path / "white.tif", values, nbits=bits, photometric="MINISWHITE")
    (tmp_path / "a.pgm").write_bytes(b"P5 7 1 %d\n" % (2**bits - 1) + values.tobytes())
    for name in ("a.png", "black.tif", "white.tif", "a.pgm"):
        assert read_mask(tmp_path / name).tolist() == values.tolist(), name


def test_unusual_tiffs_and_deep_channels_give_their_values(tmp_path):
    deep = np.array([[0, 1, 300]], np.uint16)
    write_tiff(tmp_path / "int64.tif", deep.astype(np.int64))
    write_tiff(tmp_path / "lerc.tif", deep, compress="lerc")
    rasterio.shutil.copy(tmp_path / "lerc.tif", tmp_path / "deep.png", driver="PNG")
    for name in ("int64.tif", "lerc.tif", "deep.png"):
        assert read_mask(tmp_path / name).tolist() == deep.tolist(), name


@pytest.mark.parametrize(("nodata", "dtype"), [(-2, np.int8), (9, np.uint8), (65535, np.uint16)])
def test_the_nodata_value_of_a_tiff_is_ignored(tmp_path, nodata, dtype):
    expected = IDS % 3
    values = expected.astype(dtype)
    values[0] = nodata
    path = tmp_path / "a.tif"
    write_tiff(path, values, nodata=nodata)
    ids = to_train_ids(read_mask(path), 3, False, str(path))
    assert (ids[0] == 255).all()
    assert (ids[1:] == expected[1:]).all()


def test_a_file_that_no_decoder_knows_is_named_and_no_object_in_memory(tmp_path):
    for name, data in (("a.png", b"GIF89b"), ("a.tif", b"II*\0" + b"\1" * 50)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"{name}: cannot decode the mask") as caught:
            read_mask(tmp_path / name)
        assert "BytesIO" not in str(caught.value) and "vsimem" not in str(caught.value)


def test_a_palette_mask_is_read_by_colour_if_each_colour_is_known(tmp_path):
    image = Image.fromarray(IDS, mode="P")
    image.putpalette([0, 0, 255, 250, 180, 60, 0, 100, 0] + [9, 9, 9] * 253)
    image.save(tmp_path / "a.png")
    known = {(250, 180, 60): 0, (0, 100, 0): 1, (0, 0, 255): 2}
    assert palette_of(str(tmp_path / "a.png"))[:3] == [(0, 0, 255), (250, 180, 60), (0, 100, 0)]
    expected = np.array([[2, 0, 1], [1, 255, 2]])
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", None, known), expected)
    del known[0, 100, 0]
    with pytest.raises(UserError, match=r"a\.png: .* of index 2 here, \(0, 100, 0\), is not"):
        read_mask(tmp_path / "a.png", None, known)
    plain = saved(tmp_path / "plain.png", IDS)
    np.testing.assert_array_equal(read_mask(plain, None, known), IDS)


@pytest.mark.parametrize("value", [256, 257, 300, 65535])
def test_16_bit_ids_that_would_wrap_to_8_bits_are_refused_with_their_values(tmp_path, value):
    path = saved(tmp_path / "deep.png", np.array([[1, value]], np.uint16))
    with pytest.raises(UserError, match=rf"deep\.png.*ids {value} outside"):
        to_train_ids(read_mask(path), 150, False, path)


def test_floating_point_mask_is_refused(tmp_path):
    path = saved(tmp_path / "a.tif", np.array([[0.5, 1.0]], np.float32))
    with pytest.raises(UserError, match=r"a\.tif: the mask holds float32 values"):
        read_mask(path)


def test_255_is_ignored_even_if_it_were_the_last_of_255_classes():
    values = np.array([[0, 1, 254, 255]], np.uint8)
    assert to_train_ids(values, 255, True, "a.png").tolist() == [[255, 0, 253, 255]]


def test_ids_outside_the_classes_name_everything_needed_to_mend_them():
    values = np.array([[0, 3, 7, 255, 3]], np.uint8)
    with pytest.raises(UserError) as error:
        to_train_ids(values, 3, False, "masks/a.png")
    for part in (
        *("masks/a.png", "ids 3, 7 outside", "num_classes=3", "ignore_index=255"),
        "reduce_zero_label=False",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("values", "reduces", "message"),
    [
        (np.array([[0, -1]], np.int32), False, "ids -1 outside"),
        (np.array([[151]], np.uint8), True, "ids 151 outside"),
        (np.arange(160, 250)[None], False, r"ids 160, 161, 162, 163, 164, \.\.\. outside"),
    ],
)
def test_ids_outside_the_classes_are_named(values, reduces, message):
    with pytest.raises(UserError, match=message):
        to_train_ids(values, 150, reduces, "a.png")
