"""RandomScaleCropFlip: the crops of RandomResize, RandomCrop and RandomFlip, at a lower price."""

import cv2
import numpy as np
import pytest

from mmseg.datasets.transforms import RandomScaleCropFlip
from mmseg.datasets.transforms.geometric import RandomCrop, resize_window
from mmseg.registry import TRANSFORMS

SCALE, CROP, RATIOS = (200, 60), (48, 64), (0.5, 2.0)


def three_steps_of(**crop):
    configs = [
        {"type": "RandomResize", "scale": SCALE, "ratio_range": RATIOS, "keep_ratio": True},
        {"type": "RandomCrop", "crop_size": CROP, **crop},
        {"type": "RandomFlip", "prob": 0.5},
    ]
    return [TRANSFORMS.build(config) for config in configs]


def three_steps(seed, results, **crop):
    np.random.seed(seed)
    for step in three_steps_of(**crop):
        results = step(results)
    return results


def one_step(seed, results, **crop):
    np.random.seed(seed)
    return RandomScaleCropFlip(SCALE, CROP, ratio_range=RATIOS, **crop)(results)


def sample(height=70, width=90):
    """A smooth image with noise and labels of single pixels."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    labels = rng.integers(0, 200, (height, width), dtype=np.uint8)
    return {"img": image, "gt_seg_map": labels, "img_shape": (height, width)}


@pytest.mark.parametrize("size", [(70, 90), (40, 33), (90, 300)])
def test_a_seed_gives_the_crop_of_the_three_transforms(size):
    for seed in range(25):
        given = sample(*size)
        given["gt_seg_map"][:, 20:] = 7  # so some windows are drawn again
        crop = {"cat_max_ratio": 0.75}
        expected, found = three_steps(seed, {**given}, **crop), one_step(seed, given, **crop)
        np.testing.assert_array_equal(found["gt_seg_map"], expected["gt_seg_map"])
        for key in ("img_shape", "flip", "flip_direction"):
            assert found[key] == expected[key]
        difference = np.abs(found["img"].astype(int) - expected["img"])
        assert difference.max() <= 2
        assert difference.mean() < 0.2


def test_without_a_scale_an_image_is_resized_from_its_own_size():
    for seed in range(5):
        found = []
        for scale in (None, (90, 70)):
            np.random.seed(seed)
            found.append(RandomScaleCropFlip(scale, CROP, RATIOS)(sample(70, 90))["img"])
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("scale", [None, (64, 64)])
def test_a_thin_image_keeps_one_pixel_at_least(scale):
    for size in ((1, 300), (3, 500), (400, 2)):
        for step in (
            RandomScaleCropFlip(scale, CROP, RATIOS),
            TRANSFORMS.build({"type": "Resize", "scale": (64, 64), "keep_ratio": True}),
            TRANSFORMS.build({"type": "Resize", "scale_factor": 0.01, "keep_ratio": True}),
        ):
            result = step(sample(*size))
            assert result["img"].shape[:2] == result["gt_seg_map"].shape == result["img_shape"]
            assert min(result["img_shape"]) >= 1


def test_every_pixel_of_a_window_is_sampled_from_its_place():
    rng = np.random.default_rng(0)
    for _ in range(400):
        height, width, *size = rng.integers(1, 120, 4).tolist()
        # Nothing shows a wrong place like neighbours that have nothing in common.
        image = rng.choice(np.array([0, 255], np.uint8), (height, width, 3))
        corner = [rng.integers(0, n) for n in size]
        window = tuple(slice(c, rng.integers(c, n) + 1) for c, n in zip(corner, size, strict=True))
        expected = cv2.resize(image, size[::-1])[window].astype(int)
        assert np.abs(resize_window(image, tuple(size), window) - expected).max() <= 2
        flipped = resize_window(image, tuple(size), window, flip=True)
        assert np.abs(flipped[:, ::-1] - expected).max() <= 2


@pytest.mark.parametrize("kind", ["int16", "int32", "int64"])
def test_a_crop_is_the_same_for_labels_of_any_integers(kind):
    labels = np.repeat(np.arange(64, dtype=np.uint8)[None] // 48, 40, 0)  # a class has most
    crop, found = RandomCrop((16, 16), cat_max_ratio=0.75), []
    for seed in range(8):
        for each in (labels, labels.astype(kind)):
            np.random.seed(seed)
            found.append(crop({"img": np.zeros((40, 64, 3), np.uint8), "gt_seg_map": each}))
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert other["gt_seg_map"].dtype == kind
        assert (one["gt_seg_map"] == other["gt_seg_map"]).all()
