"""PhotoMetricDistortion: the colours that OpenCV gives for the same draws, and its limits."""

import cv2
import numpy as np
import pytest

from mmseg.datasets.transforms import PhotoMetricDistortion

NOTHING = {
    **dict.fromkeys(("brightness", "contrast", "saturation", "hue")),
    "contrast_first": True,
}


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def distort(image, **drawn):
    transform = PhotoMetricDistortion()
    transform._draw = lambda: {**NOTHING, **drawn}
    return transform({"img": image.copy()})["img"]


def by_opencv(image, drawn):
    """The same changes with OpenCV's colour space: hue in degrees, saturation and value 0 to 1."""
    drawn = {**NOTHING, **drawn}
    image = image.astype(np.float32)
    contrast = 1 if drawn["contrast"] is None else drawn["contrast"]
    image = np.clip(image + (drawn["brightness"] or 0), 0, 255)
    if drawn["contrast_first"]:
        image = np.clip(image * contrast, 0, 255)
    hsv = cv2.cvtColor(image / 255, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0] + 2 * (drawn["hue"] or 0)) % 360
    hsv[..., 1] *= 1 if drawn["saturation"] is None else drawn["saturation"]
    hsv[..., 1] = np.minimum(hsv[..., 1], 1)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR) * 255
    return image if drawn["contrast_first"] else np.clip(image * contrast, 0, 255)


def test_colours_are_those_of_opencv_for_the_same_draws():
    levels = np.linspace(0, 255, 18).astype(np.uint8)
    every_colour = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3)
    np.random.seed(0)
    transform = PhotoMetricDistortion()
    for drawn in (transform._draw() for _ in range(60)):
        difference = np.abs(distort(every_colour, **drawn) - by_opencv(every_colour, drawn))
        assert difference.max() < 0.6, drawn  # the rounding to uint8


def test_image_stays_as_it_is_when_nothing_is_drawn(image):
    np.testing.assert_array_equal(distort(image), image)


@pytest.mark.parametrize(
    ("colour", "hue", "expected"),
    [
        ([200, 0, 0], -60, [0, 200, 0]),
        ([200, 0, 0], 60, [0, 0, 200]),
        ([0, 0, 200], -60, [200, 0, 0]),
        ([200, 0, 200], 90, [0, 200, 0]),
    ],
)
def test_hue_turns_by_two_degrees_a_unit_and_goes_round(colour, hue, expected):
    assert distort(np.array([[colour]], np.uint8), hue=hue).tolist() == [[expected]]


def test_draws_stay_in_their_ranges_and_each_is_made_half_of_the_time():
    np.random.seed(0)
    transform = PhotoMetricDistortion()
    draws = [transform._draw() for _ in range(2000)]
    ranges = {
        **{"brightness": (-32, 32), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5)},
        "hue": (-18, 17),
    }
    for name, (low, high) in ranges.items():
        values = [d[name] for d in draws if d[name] is not None]
        assert len(values) == pytest.approx(1000, abs=100), name
        assert low <= min(values) < low + 0.05 * (high - low), name
        assert high - 0.05 * (high - low) < max(values) <= high, name
    assert sum(d["contrast_first"] for d in draws) == pytest.approx(1000, abs=100)


def test_on_the_device_only_the_draws_of_the_same_seed_are_made_here(image):
    np.random.seed(4)
    plain = PhotoMetricDistortion()
    expected = plain._draw()
    np.random.seed(4)
    results = PhotoMetricDistortion(on_device=True)({"img": image})
    assert results["img"] is image
    assert results["distortion"] == expected
