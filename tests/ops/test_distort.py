"""Photometric distortion in torch, against OpenCV's colour spaces on uint8 images."""

import cv2
import numpy as np
import pytest
import torch

from mmseg.datasets.transforms import PhotoMetricDistortion
from mmseg.ops.photometric import distort

BGR = (2, 1, 0)


@pytest.fixture
def image():
    """Every combination of 18 levels of blue, green and red: grey, dark and pure colours too."""
    levels = np.linspace(0, 255, 18).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3)


def scaled(image, factor, shift=0):
    return np.clip(image.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)


def in_opencv(image, draws):
    """Distort a uint8 BGR image; every step rounds to uint8, and hue to two degrees."""
    contrast = 1 if draws["contrast"] is None else draws["contrast"]
    image = scaled(image, 1, draws["brightness"] or 0)
    if draws["contrast_first"]:
        image = scaled(image, contrast)
    if draws["saturation"] is not None or draws["hue"] is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + (draws["hue"] or 0)) % 180
        hsv[..., 1] = scaled(hsv[..., 1], 1 if draws["saturation"] is None else draws["saturation"])
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if not draws["contrast_first"]:
        image = scaled(image, contrast)
    return image.astype(np.float32)


def in_torch(image, draws, rgb=BGR):
    """Distort one copy of the image per draw, as one batch."""
    batch = torch.from_numpy(image).permute(2, 0, 1).float().repeat(len(draws), 1, 1, 1)
    distort(batch, draws, rgb)
    return batch.permute(0, 2, 3, 1).numpy()


def draws_of(seed, count):
    np.random.seed(seed)
    transform = PhotoMetricDistortion()
    return [transform._draw() for _ in range(count)]


def test_colours_are_those_of_opencv_but_for_its_rounding(image):
    # That is up to 4 levels of a pure colour, and half as many again where contrast follows.
    draws = draws_of(0, 60)
    for found, drawn in zip(in_torch(image, draws), draws, strict=True):
        difference = np.abs(found - in_opencv(image, drawn))
        assert difference.max() < 12, drawn
        assert difference.mean() < 2.5, drawn
        if drawn["hue"] is None and drawn["saturation"] is None:
            assert difference.max() < 2.6, drawn


@pytest.mark.parametrize("drawn", [{}, dict.fromkeys(("brightness", "contrast", "hue"))])
def test_nothing_drawn_changes_nothing(image, drawn):
    np.testing.assert_array_equal(in_torch(image, [drawn])[0], image)


def test_red_is_where_the_caller_says():
    red = np.zeros((1, 1, 3), np.uint8)
    red[..., 0] = 200
    assert in_torch(red, [{"hue": 60}], rgb=(0, 1, 2)).ravel().tolist() == [0, 200, 0]
    assert in_torch(red, [{"hue": 60}], rgb=BGR).ravel().tolist() == [0, 0, 200]


def test_colours_stay_within_their_range(image):
    extreme = [
        {"brightness": 200.0, "contrast": 2.0, "saturation": 3.0, "hue": 17},
        {"brightness": -200.0, "contrast": 2.0, "contrast_first": True, "saturation": 3.0},
    ]
    for found in in_torch(image, extreme):
        assert found.min() >= 0
        assert found.max() <= 255
