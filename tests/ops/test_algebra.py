"""The decoder's linear maps, reordered, against the order of the paper in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.ops import algebra


def conv_of(in_channels, out_channels, bias):
    torch.manual_seed(0)
    return nn.Conv2d(in_channels, out_channels, 1, bias=bias).double()


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_conv_of_levels_equals_the_conv_of_their_concatenation(align_corners, bias):
    conv = conv_of(13, 5, bias)
    sizes = [(4, 9, 13), (6, 5, 7), (3, 3, 4)]
    levels = [torch.randn(2, *size).double() for size in sizes]
    resized = [
        F.interpolate(level, (9, 13), mode="bilinear", align_corners=align_corners)
        for level in levels
    ]
    expected = conv(torch.cat(resized, 1))
    result = algebra.conv_of_levels(conv, levels, align_corners)
    torch.testing.assert_close(result, expected)
    toward = torch.randn_like(expected)
    (expected_grad,) = torch.autograd.grad(expected, conv.weight, toward)
    (grad,) = torch.autograd.grad(result, conv.weight, toward)
    torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("bias", [False, True])
def test_conv_of_product_equals_the_conv_of_the_reconstructed_map(bias):
    conv = conv_of(6, 7, bias)
    bases, coef = torch.rand(2, 6, 3).double(), torch.rand(2, 20, 3).double()
    expected = conv((bases @ coef.transpose(1, 2)).view(2, 6, 4, 5))
    result = algebra.conv_of_product(conv, bases, coef, (4, 5))
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last)
