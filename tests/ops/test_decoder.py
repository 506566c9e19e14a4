"""The factorisation against the formulas, image by image, in float64."""

import pytest
import torch

from mmseg.ops.decoder import factorise

SHAPES = [(1, 32, 24, 4), (3, 17, 35, 5), (2, 8, 1, 1)]


def product(x, bases):
    bases, coef = factorise(x, bases, steps=7)
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
def test_factorisation_equals_the_formulas_in_double(shape, channels_last):
    x, bases = inputs(shape, channels_last)
    expected = reference(x.double(), bases.double())
    assert close(product(x, bases), expected, 2e-6)
    assert close(product(x.double(), bases.double()), expected, 1e-12)
