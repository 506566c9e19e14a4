"""Multi-scale and flip testing: the average, and the copies that a config's pipeline makes."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from mmseg.config.changes import use_tta
from mmseg.datasets import build_dataset
from mmseg.errors import UserError
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
SCALE = (128, 96)


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    wrapped = MODELS.build({"type": "SegTTAModel", "module": tiny_model}).eval()
    torch.nn.init.normal_(wrapped.module.decode_head.conv_seg.weight)
    return wrapped


def augmented(*images, **meta):
    """What the loader gives for one image: a list of one per augmentation."""
    samples = []
    for i, _ in enumerate(images):
        own = {key: values[i] for key, values in meta.items()}
        samples.append([SegDataSample(metainfo={"ori_shape": (48, 64), **own})])
    return {"inputs": [[image] for image in images], "data_samples": samples}


def image(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8)


def test_prediction_is_the_class_of_the_highest_mean_probability(model):
    small, large = image(64, 96), image(96, 128, seed=1)
    data = augmented(small, large, flip=[False, True], flip_direction=[None, "horizontal"])
    (sample,) = model.test_step(copy.deepcopy(data))

    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    total = torch.zeros(3, 48, 64)
    for pixels, flipped in ((small, False), (large, True)):
        x = (pixels.flip(0) - mean[:, None, None]) / std[:, None, None]
        with torch.no_grad():
            logits = F.interpolate(model.module(x[None]), x.shape[1:], mode="bilinear")
        logits = logits.flip(-1) if flipped else logits
        total += F.interpolate(logits, (48, 64), mode="bilinear")[0].softmax(0)
    assert sample.pred_sem_seg.data.dtype == torch.uint8
    assert torch.equal(sample.pred_sem_seg.data[0].long(), total.argmax(0))
    assert len(total.argmax(0).unique()) > 1


@pytest.fixture
def config(folder_config):
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": SCALE, "keep_ratio": True},
        {"type": "ResizeToMultiple", "size_divisor": 32},
        {"type": "LoadAnnotations"},
        {"type": "PackSegInputs"},
    ]
    dataset = {**folder_config, "pipeline": pipeline, "test_mode": True}
    return Config({"model": {"type": "EncoderDecoder"}, "test_dataloader": {"dataset": dataset}})


def copies(config):
    use_tta(config)
    return build_dataset(config.test_dataloader.dataset)[0]


def test_copies_are_six_scales_with_and_without_a_flip(config):
    result = copies(config)
    assert config.model == {"type": "SegTTAModel", "module": {"type": "EncoderDecoder"}}
    drawn = [
        (tuple(x.shape[1:]), bool(sample.flip))
        for x, sample in zip(result["inputs"], result["data_samples"], strict=True)
    ]
    # 64x48 images: the ratio applies to the test size, then both sides grow to multiples of 32.
    sizes = [tuple(32 * math.ceil(side * r / 32) for side in (96, 128)) for r in RATIOS]
    assert sorted(drawn) == sorted(itertools.product(sizes, (False, True)))


def test_copy_of_ratio_one_is_that_of_single_scale_testing(config):
    single = build_dataset(copy.deepcopy(config.test_dataloader.dataset))[0]["inputs"]
    result = copies(config)
    same = [
        bool(sample.flip)
        for x, sample in zip(result["inputs"], result["data_samples"], strict=True)
        if x.shape == single.shape and torch.equal(x, single)
    ]
    assert same == [False]


def test_flipped_copy_mirrors_the_image_of_its_scale(config):
    result = copies(config)
    by_size = {}
    for x, sample in zip(result["inputs"], result["data_samples"], strict=True):
        by_size.setdefault(x.shape, {})[bool(sample.flip)] = x
    for pair in by_size.values():
        assert torch.equal(pair[True], pair[False].flip(-1))


def test_labels_are_neither_flipped_nor_resized(config):
    expected = np.repeat(np.arange(64) * 3 // 64, 48).reshape(64, 48).T
    for sample in copies(config)["data_samples"]:
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), expected)
        assert sample.ori_shape == (48, 64)


def test_copies_of_images_tested_at_their_own_size_have_ratios_of_that(config):
    config.test_dataloader.dataset.pipeline[1] = {"type": "Resize", "scale_factor": 1.0}
    sizes = [tuple(32 * math.ceil(side * r / 32) for side in (48, 64)) for r in RATIOS]
    assert [tuple(x.shape[1:]) for x in copies(config)["inputs"][::2]] == sizes


@pytest.mark.parametrize("resize", [[], [{"type": "Resize", "scale": 32}]])
def test_pipeline_without_a_resize_to_a_scale_is_refused(config, resize):
    config.test_dataloader.dataset.pipeline = [{"type": "LoadImageFromFile"}, *resize]
    with pytest.raises(UserError, match="needs Resize with scale"):
        use_tta(config)
