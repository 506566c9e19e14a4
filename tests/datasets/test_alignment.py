"""A user's transform that turns the image must turn the labels, or the training says so."""

import random

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform

from mmseg.datasets import build_dataset
from mmseg.errors import UserError
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TurnByFields(BaseTransform):
    """As transforms of MMSegmentation 1.x find the labels."""

    def transform(self, results):
        results["img"] = np.rot90(results["img"], 2).copy()
        for key in results.get("seg_fields", []):
            results[key] = np.rot90(results[key], 2).copy()
        return results


@TRANSFORMS.register_module()
class ChangeImage(BaseTransform):
    """Change the image alone, in one case of four."""

    def __init__(self, change, always=False):
        self.change, self.always = change, always

    def transform(self, results):
        if self.always or random.random() < 0.25:
            results["img"] = np.ascontiguousarray(CHANGES[self.change](results["img"]))
        return results


def _with_noise(image):
    noise = np.random.normal(0, 40, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _with_hole(image):
    image = image.copy()
    image[: image.shape[0] // 2] = 0
    return image


CHANGES = {
    "flip": lambda image: image[:, ::-1],
    "roll": lambda image: np.roll(image, 20, 1),
    "turn": lambda image: cv2.warpAffine(
        image, cv2.getRotationMatrix2D((32, 20), 30, 1), image.shape[1::-1]
    ),
    "smaller": lambda image: image[::2, ::2],
    "noise": _with_noise,
    "hole": _with_hole,
    "negative": lambda image: 255 - image,
    "blur": lambda image: cv2.GaussianBlur(image, (5, 5), 0),
    "black": lambda image: image * 0,
    "grey": lambda image: image.mean(2),
    "channels first": lambda image: image.transpose(2, 0, 1),
}


COLOURS = ("noise", "hole", "negative", "blur", "black")


def steps(*added):
    return [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "RandomFlip", "prob": 0.5},
        *added,
        {"type": "PackSegInputs"},
    ]


def test_a_transform_that_asks_seg_fields_turns_image_and_labels(folder_config):
    plain = build_dataset({**folder_config, "pipeline": steps()[:2] + steps()[-1:]})[0]
    turn = {"type": "TurnByFields"}
    turned = build_dataset({**folder_config, "pipeline": [*steps()[:2], turn, steps()[-1]]})[0]
    for before, after in (
        (plain["inputs"], turned["inputs"]),
        (plain["data_samples"].gt_sem_seg.data, turned["data_samples"].gt_sem_seg.data),
    ):
        np.testing.assert_array_equal(after.numpy(), before.numpy()[:, ::-1, ::-1])


@pytest.mark.parametrize("change", ["flip", "roll", "turn"])
def test_a_step_that_moves_the_image_alone_is_named(folder_config, change):
    step = {"type": "ChangeImage", "change": change}
    message = "ChangeImage in the training pipeline moves the pixels of the image and leaves"
    with pytest.raises(UserError, match=message):
        build_dataset({**folder_config, "pipeline": steps(step)})
    build_dataset({**folder_config, "pipeline": steps(step), "test_mode": True})


def test_a_step_that_resizes_the_image_alone_is_named(folder_config):
    step = {"type": "RandomApply", "transforms": [{"type": "ChangeImage", "change": "smaller"}]}
    with pytest.raises(UserError, match=r"RandomApply in .* makes an image \(.*\) and labels"):
        build_dataset({**folder_config, "pipeline": steps(step)})


@pytest.mark.parametrize("change", [*COLOURS, "grey", "channels first"])
def test_a_step_that_changes_colours_or_packs_passes(folder_config, change):
    step = {"type": "ChangeImage", "change": change, "always": True}
    build_dataset({**folder_config, "pipeline": steps(step)})


def test_the_check_changes_no_random_number(folder_config):
    step = {"type": "ChangeImage", "change": "noise"}
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    build_dataset({**folder_config, "pipeline": steps(step)})
    assert np.random.random() == expected
