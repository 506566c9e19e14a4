"""SegDataPreProcessor: values, padding, sizes."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmseg.datasets.transforms import PhotoMetricDistortion
from mmseg.errors import UserError
from mmseg.models.data_preprocessor import SegDataPreProcessor, pad_to
from mmseg.structures import SegDataSample

MEAN, STD = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)


def data(*sizes):
    """uint8 images of one colour (B, G, R) = (34, 22, 11) and labels of class 1."""
    images = [
        torch.tensor([34, 22, 11], dtype=torch.uint8)[:, None, None].expand(3, *s) for s in sizes
    ]
    samples = [SegDataSample() for _ in sizes]
    for sample, size in zip(samples, sizes, strict=True):
        sample.gt_sem_seg = PixelData(data=torch.ones(1, *size, dtype=torch.uint8))
    return {"inputs": images, "data_samples": samples}


def preprocess(batch, training, **kwargs):
    return SegDataPreProcessor(MEAN, STD, **kwargs)(batch, training)


# (11 - 10) / 1, (22 - 20) / 2, (34 - 30) / 4; without the turn (34 - 10) / 1 and so on
@pytest.mark.parametrize(
    ("options", "expected"), [({}, [1, 1, 1]), ({"bgr_to_rgb": False}, [24, 1, -4.75])]
)
def test_channels_are_turned_to_rgb_if_wanted_and_normalised(options, expected):
    image = preprocess(data((2, 3)), training=False, **options)["inputs"][0]
    torch.testing.assert_close(image, torch.tensor(expected).float()[:, None, None].expand(3, 2, 3))


def test_training_pads_images_with_zero_after_normalising_and_labels_with_the_ignored_value():
    batch = preprocess(data((2, 3), (4, 2)), training=True, size=(4, 5))
    expected = torch.zeros(2, 3, 4, 5)
    expected[0, :, :2, :3] = expected[1, :, :4, :2] = 1
    torch.testing.assert_close(batch["inputs"], expected)
    for sample, image in zip(batch["data_samples"], expected, strict=True):
        labels = image[:1].byte()
        assert torch.equal(sample.gt_sem_seg.data, labels.where(labels == 1, 255))


def test_testing_keeps_the_size_of_each_image_and_its_labels():
    result = preprocess(data((2, 3), (4, 2)), training=False, size=(8, 8))
    assert [tuple(image.shape) for image in result["inputs"]] == [(3, 2, 3), (3, 4, 2)]
    shapes = [tuple(sample.gt_sem_seg.data.shape) for sample in result["data_samples"]]
    assert shapes == [(1, 2, 3), (1, 4, 2)]


@pytest.mark.parametrize("training", [True, False])
def test_mean_and_deviation_are_no_part_of_the_state(training):
    preprocessor = SegDataPreProcessor(mean=[0, 0, 0], std=[255, 255, 255])  # whole numbers
    preprocessor(data((2, 3)), training)
    assert not preprocessor.state_dict()


def test_image_larger_than_the_size_is_refused_not_cropped():
    with pytest.raises(UserError, match=r"size=\(4, 4\) is smaller than .* 8x8"):
        pad_to(torch.zeros(1, 8, 8), 4, 4, 0)


DISTORTION = {
    **{"brightness": 20.0, "contrast": 1.5, "saturation": 0.5, "hue": -10},
    "contrast_first": False,
}


def distorted(batch, *draws):
    for sample, drawn in zip(batch["data_samples"], draws, strict=True):
        if drawn:
            sample.set_metainfo({"distortion": drawn})
    return batch


@pytest.mark.parametrize("bgr_to_rgb", [True, False])
def test_training_changes_the_colours_of_each_image_as_drawn(bgr_to_rgb):
    batch = preprocess(
        distorted(data((2, 3), (2, 3)), DISTORTION, None), training=True, bgr_to_rgb=bgr_to_rgb
    )["inputs"]
    plain = PhotoMetricDistortion()
    plain._draw = lambda: DISTORTION
    image = np.array([[[34, 22, 11]]], np.uint8)
    for inputs, bgr in zip(batch, (plain({"img": image})["img"], image), strict=True):
        expected = bgr[0, 0, ::-1] if bgr_to_rgb else bgr[0, 0]
        levels = inputs[:, 1, 2] * torch.tensor(STD) + torch.tensor(MEAN)
        np.testing.assert_allclose(levels, expected, atol=2.5)


def test_padding_has_the_mean_colour_whatever_was_drawn():
    batch = distorted(data((2, 3)), {**DISTORTION, "saturation": None, "hue": None})
    inputs = preprocess(batch, training=True, size=(4, 5))["inputs"]
    assert inputs[0, :, :2, :3].all()
    assert not inputs[0, :, 2:].any()
    assert not inputs[0, :, :, 3:].any()


def test_testing_changes_no_colours():
    plain = preprocess(data((2, 3)), training=False)["inputs"][0]
    batch = distorted(data((2, 3)), DISTORTION)
    assert torch.equal(preprocess(batch, training=False)["inputs"][0], plain)


def test_images_as_they_were_loaded_are_not_changed():
    batch = distorted(data((2, 3)), DISTORTION)
    before = [image.clone() for image in batch["inputs"]]
    preprocess(batch, training=True)
    assert all(map(torch.equal, batch["inputs"], before))
