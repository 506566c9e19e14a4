"""RandomCrop, ResizeToMultiple, and mmcv's resizing of our labels."""

import numpy as np
import pytest

from mmseg.datasets.transforms import RandomCrop, ResizeToMultiple
from mmseg.registry import TRANSFORMS


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


def located(height, width, labels=None):
    """An image whose pixels tell their row and column."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(height)[:, None]
    image[..., 1] = np.arange(width)
    if labels is None:
        labels = (image[..., 0].astype(int) * 7 + image[..., 1]).astype(np.uint8)
    return {"img": image, "gt_seg_map": labels, "img_shape": (height, width)}


@pytest.mark.parametrize(
    "step", [{"type": "RandomCrop"}, {"type": "RandomScaleCropFlip", "scale": (24, 24)}]
)
def test_an_image_without_labels_is_cropped_wherever_it_falls(step):
    results = located(24, 24)
    del results["gt_seg_map"]
    out = TRANSFORMS.build({**step, "crop_size": (8, 8), "cat_max_ratio": 0.75})(results)
    assert out["img"].shape == (8, 8, 3) and "gt_seg_map" not in out


def dominates(labels, ratio):
    counts = {k: (labels == k).sum() for k in np.unique(labels) if k != 255}
    return len(counts) <= 1 or max(counts.values()) >= ratio * sum(counts.values())


def test_crop_is_a_window_of_image_and_labels_alike():
    corners = set()
    for _ in range(300):
        results = located(12, 10)
        whole = results["gt_seg_map"]
        out = RandomCrop((5, 4))(results)
        top, left = out["img"][0, 0, :2]
        corners.add((int(top), int(left)))
        np.testing.assert_array_equal(out["gt_seg_map"], whole[top : top + 5, left : left + 4])
        assert out["img"].shape == (5, 4, 3)
        assert out["img_shape"] == (5, 4)
    # Every place is reached, the last ones included.
    assert {c[0] for c in corners} == set(range(8))
    assert {c[1] for c in corners} == set(range(7))


@pytest.mark.parametrize(
    ("size", "expected"), [((3, 3), (3, 3)), ((3, 9), (3, 4)), ((8, 2), (5, 2))]
)
def test_image_smaller_than_the_window_is_kept_whole_in_that_direction(size, expected):
    out = RandomCrop((5, 4))(located(*size))
    assert out["img"].shape[:2] == out["gt_seg_map"].shape == out["img_shape"] == expected


def test_crop_avoids_windows_that_one_class_dominates():
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 1
    crop = RandomCrop((10, 10), cat_max_ratio=0.75)
    bad = sum(dominates(crop(located(40, 40, labels))["gt_seg_map"], 0.75) for _ in range(200))
    # A window is mixed enough with a chance of 5 / 31; eleven draws miss with 14 %, one with 84 %.
    assert 0.05 < bad / 200 < 0.27


def test_ignored_pixels_do_not_count_as_a_class():
    # Class 0 and the ignored value share every window: one class only.
    labels = np.zeros((20, 20), np.uint8)
    labels[::2] = 255
    crop = RandomCrop((10, 10), cat_max_ratio=0.75)
    calls = []
    crop._is_mixed = lambda window: calls.append(RandomCrop._is_mixed(crop, window))
    out = crop(located(20, 20, labels))
    assert calls == [False] * 11
    assert out["img"].shape == (10, 10, 3)  # the last one is taken


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 96), (64, 96)), ((65, 96), (96, 96)), ((31, 33), (32, 64)), ((512, 683), (512, 704))],
)
def test_both_sides_grow_to_the_next_multiple(size, expected):
    image = np.random.randint(256, size=(*size, 3), dtype=np.uint8)
    out = ResizeToMultiple(32)({"img": image, "gt_seg_map": image[..., 0]})
    assert out["img"].shape == (*expected, 3)
    assert out["img_shape"] == expected
    assert out["gt_seg_map"].shape == size
    assert size != expected or np.array_equal(out["img"], image)


def test_image_is_stretched_and_not_padded():
    image = np.repeat(np.linspace(50, 250, 40)[None], 33, 0).astype(np.uint8)
    image = np.stack([image] * 3, -1)
    out = ResizeToMultiple(32)({"img": image})["img"]
    assert out[0, -1].tolist() == [250] * 3
    assert out[-1, 0].tolist() == [50] * 3
    assert (np.diff(out[5, :, 0].astype(int)) >= 0).all()


@pytest.mark.parametrize(
    "config",
    [
        {"type": "RandomResize", "scale": (64, 48), "ratio_range": (0.5, 2.0), "keep_ratio": True},
        {"type": "Resize", "scale": (100, 37), "keep_ratio": False},
    ],
    ids=lambda c: c["type"],
)
def test_resizing_makes_no_new_ids(config):
    labels = np.array([0, 100, 255], np.uint8)[np.random.randint(3, size=(48, 64))]
    transform = TRANSFORMS.build(config)
    for _ in range(5):
        out = transform(located(48, 64, labels))
        assert set(np.unique(out["gt_seg_map"])) <= {0, 100, 255}
        assert out["gt_seg_map"].shape == out["img"].shape[:2] == tuple(out["img_shape"][:2])


def test_labels_that_are_loaded_are_stretched_with_the_image():
    labels = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    image = np.stack([labels] * 3, axis=2)
    results = {"img": image, "gt_seg_map": labels, "seg_fields": ["gt_seg_map"]}
    found = ResizeToMultiple(32)(results)
    assert found["img"].shape[:2] == found["gt_seg_map"].shape == (32, 32)
    assert set(np.unique(found["gt_seg_map"])) <= set(np.unique(labels))
