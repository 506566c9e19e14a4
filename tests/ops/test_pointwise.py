"""1x1 convolutions: the gradients by products of matrices against torch in float64."""

import pytest
import torch
import torch.nn.functional as F

from mmseg import ops
from mmseg.ops import processor
from mmseg.ops.pointwise import pointwise_conv2d

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(autouse=True)
def avx2(monkeypatch):
    """The way of processors without AVX-512, on every processor."""
    monkeypatch.setattr(processor, "only_avx2", lambda: True)


def tensors(shape, width, layout=torch.channels_last):
    torch.manual_seed(0)
    x = torch.randn(shape).contiguous(memory_format=layout)
    return [
        each.requires_grad_()
        for each in (x, torch.randn(width, shape[1], 1, 1), torch.randn(width))
    ]


def output_and_gradients(convolve, inputs):
    output = convolve(*inputs)
    toward = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    return output, *torch.autograd.grad(output, inputs, toward.to(output.dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    ("shape", "width"), [((2, 16, 9, 13), 40), ((3, 5, 1, 1), 7), ((1, 1, 4, 3), 1)]
)
def test_output_and_gradients_equal_those_of_torch_in_float64(shape, width, biased, layout):
    inputs = tensors(shape, width, layout)[: 3 if biased else 2]
    doubles = [each.detach().double().requires_grad_() for each in inputs]
    expected = output_and_gradients(F.conv2d, doubles)
    result = output_and_gradients(pointwise_conv2d, inputs)
    assert result[0].grad_fn.name() == "_PointwiseConv2dBackward"
    for value, wanted in zip(result, expected, strict=True):
        assert value.dtype == torch.float32 and value.shape == wanted.shape
        assert (value - wanted).norm() <= 1e-6 * wanted.norm()


def test_gradient_of_the_input_has_the_layout_of_the_input():
    _, grad_x, *_ = output_and_gradients(pointwise_conv2d, tensors((2, 16, 9, 13), 8))
    assert grad_x.is_contiguous(memory_format=torch.channels_last)


def test_an_input_that_needs_no_gradient_gets_none():
    x, weight, bias = tensors((2, 4, 5, 6), 3)
    output = pointwise_conv2d(x.detach(), weight, bias)
    expected = torch.autograd.grad(F.conv2d(x, weight, bias).sum(), (weight, bias))
    torch.testing.assert_close(torch.autograd.grad(output.sum(), (weight, bias)), expected)


@pytest.mark.parametrize(
    "reason", ["AVX-512", "inference", "frozen", "plain", "float64", "autocast"]
)
def test_elsewhere_it_is_torch_s(reason, monkeypatch):
    x, weight, bias = tensors((2, 4, 5, 6), 3)
    if reason == "AVX-512":
        monkeypatch.setattr(processor, "only_avx2", lambda: False)
    if reason == "float64":
        x, weight, bias = (each.detach().double().requires_grad_() for each in (x, weight, bias))
    if reason == "frozen":
        weight.requires_grad_(False)
    with (
        torch.set_grad_enabled(reason != "inference"),
        torch.autocast("cpu", torch.bfloat16, enabled=reason == "autocast"),
    ):
        if reason == "plain":
            with ops.plain():
                output = pointwise_conv2d(x, weight, bias)
        else:
            output = pointwise_conv2d(x, weight, bias)
    name = output.grad_fn.name() if output.requires_grad else None
    assert name == (None if reason == "inference" else "ConvolutionBackward0")
