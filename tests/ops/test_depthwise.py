"""Depth-wise convolutions and their gradients against torch in float64."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from mmseg.ops import depthwise
from mmseg.ops.depthwise import depthwise_conv2d

KERNELS = [(5, 5), (1, 7), (1, 11), (1, 21)]
# Batch, channels, height, width: odd sizes, and maps narrower than kernels.
SHAPES = [(2, 16, 70, 12), (1, 5, 13, 33), (3, 8, 2, 4), (1, 3, 1, 1)]


def tensors(shape, kernel_size, dtype=torch.float32):
    torch.manual_seed(0)
    x = torch.randn(shape).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(shape[1], 1, *kernel_size), torch.randn(shape[1])
    return [each.to(dtype).requires_grad_() for each in (x, weight, bias)]


def torchs(x, weight, bias):
    return F.conv2d(x, weight, bias, padding="same", groups=len(weight))


def output_and_gradients(inputs, function=depthwise_conv2d):
    output = function(*inputs)
    toward = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    return output, *torch.autograd.grad(output, inputs, toward.to(output.dtype))


@pytest.mark.parametrize("kernel_size", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_gradients_equal_those_of_torch_in_float64(shape, kernel_size):
    inputs = tensors(shape, kernel_size)
    doubles = [x.detach().double().requires_grad_() for x in inputs]
    expected = output_and_gradients(doubles, torchs)
    result = output_and_gradients(inputs)
    for value, wanted in zip(result, expected, strict=True):
        assert value.dtype == torch.float32
        assert (value - wanted).norm() <= 1e-6 * wanted.norm()


def test_gradients_under_autocast_equal_those_of_torch():
    results = []
    for function in (depthwise_conv2d, torchs):
        inputs = tensors((2, 16, 20, 24), (1, 11))
        with torch.autocast("cpu", torch.bfloat16):
            results.append(output_and_gradients(inputs, function))
    assert results[0][0].dtype == torch.bfloat16
    for ours, wanted in zip(*results, strict=True):
        assert ours.dtype == wanted.dtype
        assert (ours.float() - wanted.float()).norm() <= 0.01 * wanted.float().norm()


def test_gradient_of_a_convolution_whose_input_needs_none():
    x, weight, bias = tensors((1, 4, 9, 9), (5, 5))
    output = depthwise_conv2d(x.detach(), weight, bias)
    (grad,) = torch.autograd.grad(output.sum(), weight)
    expected = torch.autograd.grad(torchs(x, weight, bias).sum(), weight)[0]
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-5)


def test_a_convolution_may_have_no_bias():
    x, weight, _ = tensors((1, 4, 9, 9), (1, 21))
    grads = torch.autograd.grad(depthwise_conv2d(x, weight, None).square().sum(), (x, weight))
    expected = torch.autograd.grad(torchs(x, weight, None).square().sum(), (x, weight))
    torch.testing.assert_close(grads, expected, rtol=1e-5, atol=1e-4)


def test_maps_that_the_kernels_cannot_count_in_32_bits_are_left_to_torch(monkeypatch):
    taken = []
    kernels = SimpleNamespace(depthwise_conv2d=lambda x, *_: taken.append(x.shape[2]))
    monkeypatch.setattr(depthwise.triton, "kernels_for", lambda x, name: kernels)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    with torch.device("meta"):
        weight, bias = torch.empty(2**9, 1, 3, 3), torch.empty(2**9)
        for height in (2**9 - 1, 2**9):
            depthwise_conv2d(torch.empty(2, 2**9, height, 2**13), weight, bias)
    assert taken == [2**9 - 1]
