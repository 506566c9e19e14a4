"""Reading masks: ids come out as they are in the file, or the file is named."""

import numpy as np
import pytest
from PIL import Image

from mmseg.errors import UserError
from mmseg.imagery.mask import read_mask, to_train_ids

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


@pytest.mark.parametrize("value", [256, 257, 300, 65535])
def test_16_bit_ids_that_would_wrap_to_8_bits_are_refused_with_their_values(tmp_path, value):
    path = saved(tmp_path / "deep.png", np.array([[1, value]], np.uint16))
    with pytest.raises(UserError, match=rf"deep\.png.*ids {value} outside"):
        to_train_ids(read_mask(path), 150, False, path)


def test_floating_point_mask_is_refused(tmp_path):
    path = saved(tmp_path / "a.tif", np.array([[0.5, 1.0]], np.float32))
    with pytest.raises(UserError, match=r"a\.tif: the mask holds float32 values"):
        read_mask(path)


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
