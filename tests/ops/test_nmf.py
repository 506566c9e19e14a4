"""The factorisation and its backward pass against the formulas with autograd, in float64."""

import pytest
import torch

from mmseg.ops import nmf

SHAPES = [(1, 32, 24, 4), (3, 17, 35, 5), (2, 8, 1, 1)]


def product(x, bases):
    bases, coef = nmf.factorise(x, bases, steps=7)
    return bases @ coef.transpose(1, 2)


def reference(x, bases):
    """The product after seven steps and one more update of coef, image by image."""
    results = []
    for image, base in zip(x, bases, strict=True):
        coef = torch.softmax(image.T @ base, dim=1)
        for step in range(8):
            coef = coef * (image.T @ base) / (coef @ base.T @ base + 1e-6)
            if step < 7:
                base = base * (image @ coef) / (base @ coef.T @ coef + 1e-6)
        results.append(base @ coef.T)
    return torch.stack(results)


def inputs(shape, channels_last):
    torch.manual_seed(0)
    batch, channels, positions, rank = shape
    x, bases = torch.rand(batch, channels, positions), torch.rand(batch, channels, rank)
    if channels_last:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    return x, bases


def close(result, expected, tolerance):
    return (result - expected).norm() <= tolerance * expected.norm()


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_factorisation_equals_the_formulas_in_double(shape, channels_last, training):
    x, bases = inputs(shape, channels_last)
    x.requires_grad_(training)
    expected = reference(x.double(), bases.double())
    assert close(product(x, bases), expected, 2e-6)
    assert close(product(x.double(), bases.double()), expected, 1e-12)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_equal_those_of_autograd_in_double(shape, channels_last):
    x, bases = inputs(shape, channels_last)
    toward = torch.rand(shape[0], *x.shape[1:])

    def gradients(function, dtype, passes=1):
        leaves = [t.to(dtype, copy=True).requires_grad_() for t in (x, bases)]
        loss = (function(*leaves) * toward.to(dtype)).sum()
        for _ in range(passes):
            loss.backward(retain_graph=True)
        return torch.cat([leaf.grad.flatten() for leaf in leaves])

    expected = gradients(reference, torch.float64)
    assert close(gradients(product, torch.float32), expected, 1e-5)
    assert close(gradients(product, torch.float64), expected, 1e-12)
    assert close(gradients(product, torch.float64, passes=2), 2 * expected, 1e-12)


def test_starting_bases_need_no_gradient():
    x, bases = inputs(SHAPES[0], True)
    results = []
    for function in (product, reference):
        leaf = x.double().requires_grad_()
        results.append(torch.autograd.grad(function(leaf, bases.double()).sum(), leaf)[0])
    assert close(*results, 1e-12)
