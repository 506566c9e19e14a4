"""The decoder's linear maps, reordered, against the order of the paper in float64."""

import pytest
import torch
import torch.nn.functional as F

from mmseg import ops
from mmseg.ops import algebra
from mmseg.registry import MODELS


@pytest.mark.parametrize("align_corners", [False, True])
def test_conv_of_levels_equals_the_conv_of_their_concatenation(align_corners):
    torch.manual_seed(0)
    sizes = [(4, 9, 13), (6, 5, 7), (3, 3, 4)]
    levels = [torch.randn(2, *size, dtype=torch.float64) for size in sizes]
    weight = torch.randn(5, 13, 1, 1, dtype=torch.float64, requires_grad=True)
    resized = [
        F.interpolate(level, (9, 13), mode="bilinear", align_corners=align_corners)
        for level in levels
    ]
    expected = F.conv2d(torch.cat(resized, 1), weight)
    result = algebra.conv_of_levels(weight, levels, align_corners)
    torch.testing.assert_close(result, expected)
    toward = torch.randn_like(expected)
    (expected_grad,) = torch.autograd.grad(expected, weight, toward)
    (grad,) = torch.autograd.grad(result, weight, toward)
    torch.testing.assert_close(grad, expected_grad)


def test_conv_of_product_equals_the_conv_of_the_reconstructed_map():
    torch.manual_seed(0)
    bases, coef = (
        torch.rand(2, 6, 3, dtype=torch.float64),
        torch.rand(2, 20, 3, dtype=torch.float64),
    )
    weight = torch.randn(7, 6, 1, 1, dtype=torch.float64)
    expected = F.conv2d((bases @ coef.transpose(1, 2)).view(2, 6, 4, 5), weight)
    torch.testing.assert_close(algebra.conv_of_product(weight, bases, coef, (4, 5)), expected)


@pytest.mark.parametrize("training", [True, False])
def test_fast_and_plain_heads_give_the_same_logits_and_gradients(tiny_model, training):
    torch.manual_seed(0)
    head = MODELS.build(tiny_model).train(training).decode_head
    maps = [
        torch.rand(2, c, s, s + 1) for c, s in zip((8, 16, 24, 32), (24, 12, 6, 3), strict=True)
    ]
    results = []
    for fast in (True, False):
        ops.enable(fast)
        torch.manual_seed(1)  # of the starting bases
        logits = head(maps)
        grads = torch.autograd.grad(logits.square().sum(), list(head.parameters()))
        results.append((logits, *grads))
    ops.enable(True)
    for fast, plain in zip(*results, strict=True):
        assert (fast - plain).norm() <= 1e-5 * plain.norm()
    assert not torch.equal(results[0][0], results[1][0])  # the two do go different ways
