"""Cross entropy of upsampled logits in bands, against float64 at full size."""

import pytest
import torch
import torch.nn.functional as F

from mmseg.ops import bilinear
from mmseg.ops.cross_entropy import upsampled_cross_entropy

# Batch, classes, size of the logits, size of the labels.
SHAPES = {
    "eighth": (2, 19, (8, 12), (64, 96)),
    "odd": (1, 5, (7, 9), (53, 71)),
    "two classes, more than one band of rows": (1, 2, (20, 3), (160, 24)),
    "one row": (1, 150, (1, 4), (5, 30)),
    "smaller than the logits": (1, 4, (16, 16), (9, 10)),
}


@pytest.fixture(autouse=True, params=[2000, 2**22], ids=["bands", "whole"])
def at_once(request, monkeypatch):
    """Compute a few rows at a time, or all."""
    monkeypatch.setitem(bilinear.LOGITS_AT_ONCE, "cpu", request.param)


def data(shape, seed=0):
    batch, classes, size, full_size = SHAPES[shape]
    torch.manual_seed(seed)
    logits = 5 * torch.randn(batch, classes, *size)
    labels = torch.randint(classes, (batch, *full_size))
    labels[:, : full_size[0] // 4] = 255
    return logits, labels, 0.5 + torch.rand(classes)


def loss_and_gradient(logits, labels, weight, **options):
    logits = logits.detach().clone().requires_grad_()
    total, right = upsampled_cross_entropy(logits, labels, weight, **options)
    (2 * total).backward()
    return total.item(), right.item(), logits.grad / 2


def reference(logits, labels, weight, align_corners=False):
    """Compute loss, right pixels and gradient from all upsampled logits, in float64."""
    logits = logits.detach().double().requires_grad_()
    full = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=align_corners)
    weight = None if weight is None else weight.double()
    total = F.cross_entropy(full, labels, weight, ignore_index=255, reduction="sum")
    right = (full.argmax(1) == labels)[labels != 255].sum()
    return total.item(), right.item(), torch.autograd.grad(total, logits)[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("align_corners", [False, True])
def test_loss_accuracy_and_gradient_equal_those_at_full_size(shape, align_corners):
    logits, labels, weight = data(shape)
    options = {"align_corners": align_corners}
    total, right, grad = loss_and_gradient(logits, labels, weight, **options)
    expected_total, expected_right, expected_grad = reference(logits, labels, weight, **options)
    assert total == pytest.approx(expected_total, rel=1e-6)
    assert right == expected_right
    error = (grad - expected_grad).norm() / expected_grad.norm()
    assert 0 < error < 1e-5  # not 0: the reference is another computation


def test_channels_last_logits_without_weights_give_the_same():
    logits, labels, _ = data("eighth")
    result = loss_and_gradient(logits.to(memory_format=torch.channels_last), labels, None)
    expected = reference(logits, labels, None)
    assert result[0] == pytest.approx(expected[0], rel=1e-6)
    torch.testing.assert_close(result[2], expected[2].float(), rtol=1e-5, atol=1e-6)


def test_logits_far_apart_lose_no_digits():
    # Between two pixels of opposite classes every logit is far below both pixels' largest.
    logits = torch.zeros(1, 3, 1, 2)
    logits[0, 0, 0, 0] = logits[0, 1, 0, 1] = 400.0
    logits[0, 2] = -500.0
    labels = torch.full((1, 1, 8), 2)
    total, _, grad = loss_and_gradient(logits, labels, None)
    expected_total, _, expected_grad = reference(logits, labels, None)
    assert total == pytest.approx(expected_total, rel=1e-6)
    torch.testing.assert_close(grad, expected_grad.float(), rtol=1e-5, atol=1e-6)


def test_a_pixel_of_equal_logits_is_not_right():
    logits = torch.zeros(1, 4, 2, 2)
    labels = torch.tensor([0, 1, 2, 3]).repeat(1, 3, 1)
    assert loss_and_gradient(logits, labels, None)[1] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_logits_and_weights_of_half_precision_are_compared_in_float32(dtype):
    logits, labels, weight = data("eighth")
    logits, weight = logits.to(dtype), weight.to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        total, right, grad = loss_and_gradient(logits, labels, weight)
    expected_total, expected_right, expected_grad = reference(logits, labels, weight)
    assert total == pytest.approx(expected_total, rel=1e-6)
    assert right == expected_right
    assert grad.dtype == dtype
    torch.testing.assert_close(grad, expected_grad.to(dtype))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_of_logits_that_are_not_finite_is_not_finite(value):
    logits, labels, weight = data("odd")
    logits[0, 1, 3, 4] = value
    total, _ = upsampled_cross_entropy(logits, labels, weight)
    assert not torch.isfinite(total)


def test_a_loss_in_inference_mode_leaves_training_possible():
    logits, labels, weight = data("odd")
    with torch.inference_mode():
        expected, _ = upsampled_cross_entropy(logits, labels, weight)
    total, _, _ = loss_and_gradient(logits, labels, weight)
    assert total == pytest.approx(expected.item(), rel=1e-6)


def test_label_that_is_no_class_is_refused():
    logits, labels, weight = data("odd")
    labels[0, -1, -1] = 5
    with pytest.raises(IndexError):
        upsampled_cross_entropy(logits, labels, weight)
