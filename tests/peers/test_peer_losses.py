"""Losses as MMSegmentation has them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.models.losses.utils import weighted_loss

from mmseg.models.losses import DiceLoss, weight_reduce_loss
from mmseg.registry import MODELS


@pytest.mark.parametrize("naive", [False, True])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "none"])
def test_dice_is_that_of_1x(naive, activation):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    labels[0, 0] = 255
    p = {
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "softmax": np.exp(logits) / np.exp(logits).sum(1, keepdims=True),
        "none": logits,
    }[activation]
    terms = []
    for image, truth in zip(p, labels, strict=True):
        t = np.stack([truth == k for k in range(3)]).astype(float)
        if naive:
            terms.append(1 - (2 * (image * t).sum() + 1e-3) / (image.sum() + t.sum() + 1e-3))
        else:
            terms.append(1 - 2 * (image * t).sum() / ((image**2).sum() + (t**2).sum() + 2e-3))
    options = {"use_sigmoid": activation == "sigmoid", "activate": activation != "none"}
    loss = DiceLoss(naive_dice=naive, loss_weight=2.0, **options)
    found = loss(torch.tensor(logits), torch.tensor(labels)).item()
    assert found == pytest.approx(2 * np.mean(terms), rel=1e-5)


def test_dice_leaves_a_class_out_and_sums_if_asked():
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    target = F.one_hot(labels, 3).permute(0, 3, 1, 2)
    expected = DiceLoss(ignore_index=None)(logits[:, [0, 2]], target[:, [0, 2]])
    torch.testing.assert_close(DiceLoss(ignore_index=1)(logits, labels), expected)
    total = DiceLoss(reduction="sum")(logits, labels)
    torch.testing.assert_close(total, 2 * DiceLoss()(logits, labels))


def test_lovasz_per_image_is_the_mean_over_images():
    loss = MODELS.build({"type": "LovaszLoss", "per_image": True})
    whole = MODELS.build({"type": "LovaszLoss"})
    logits, labels = torch.randn(3, 4, 6, 6), torch.randint(4, (3, 6, 6))
    each = [whole(x[None], y[None]) for x, y in zip(logits, labels, strict=True)]
    torch.testing.assert_close(loss(logits, labels), torch.stack(each).mean())


def test_a_loss_of_the_guide_is_weighed_and_reduced():
    @weighted_loss
    def distance(pred, target):
        return (pred - target).abs()

    pred, target, weight = torch.tensor([0.0, 2, 3]), torch.ones(3), torch.tensor([1.0, 0, 1])
    assert distance(pred, target).item() == pytest.approx(4 / 3)
    assert distance(pred, target, weight).item() == 1
    assert distance(pred, target, reduction="sum") == 4
    assert torch.equal(distance(pred, target, weight, "none"), torch.tensor([1.0, 0, 2]))
    assert distance(pred, target, weight, avg_factor=2).item() == pytest.approx(1.5)
    with pytest.raises(ValueError, match="avg_factor does not go with reduction='sum'"):
        weight_reduce_loss(pred, None, "sum", 2)
