"""The factorisation with products of its own against the plain one in float64."""

import pytest
import torch

from mmseg import ops
from mmseg.ops import nmf, processor

SHAPES = [(1, 32, 24, 4), (3, 17, 35, 5), (2, 8, 1, 1)]


@pytest.fixture(params=["MKL", "oneDNN"])
def products(request, monkeypatch):
    """Multiply by one of the libraries, whatever the processor."""
    monkeypatch.setattr(processor, "only_avx2", lambda: request.param == "MKL")


def factorise(x, bases):
    bases, coef = nmf.factorise(x, bases, steps=7)
    return bases @ coef.transpose(1, 2)


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
def test_factorisation_equals_the_plain_one_in_double(shape, channels_last, products):
    x, bases = inputs(shape, channels_last)
    with ops.plain():
        expected = factorise(x.double(), bases.double())
        assert close(factorise(x, bases), expected, 2e-6)
    assert close(factorise(x, bases), expected, 2e-6)
    assert close(factorise(x.double(), bases.double()), expected, 1e-12)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_equal_those_of_autograd_in_double(shape, channels_last, products):
    x, bases = inputs(shape, channels_last)
    out = torch.rand(shape[0], *x.shape[1:])

    def gradients(dtype, passes=1):
        leaves = [t.to(dtype, copy=True).requires_grad_() for t in (x, bases)]
        loss = (factorise(*leaves) * out.to(dtype)).sum()
        for _ in range(passes):
            loss.backward(retain_graph=True)
        return torch.cat([leaf.grad.flatten() for leaf in leaves])

    with ops.plain():
        expected = gradients(torch.float64)
    assert close(gradients(torch.float32), expected, 1e-5)
    assert close(gradients(torch.float64), expected, 1e-12)
    assert close(gradients(torch.float64, passes=2), 2 * expected, 1e-12)


def test_starting_bases_need_no_gradient():
    x, bases = inputs(SHAPES[0], True)
    leaves = [t.clone().requires_grad_() for t in (x, x)]
    factorise(leaves[0], bases).sum().backward()
    with ops.plain():
        factorise(leaves[1], bases).sum().backward()
    assert close(leaves[0].grad, leaves[1].grad, 1e-5)


def test_only_the_fast_path_has_products_of_its_own(monkeypatch):
    used, product = [], nmf._product
    monkeypatch.setattr(nmf, "_product", lambda *a, **k: used.append(a) or product(*a, **k))
    x, bases = inputs(SHAPES[0], True)
    with ops.plain():
        factorise(x, bases)
    assert not used
    factorise(x, bases)
    assert len(used) == 1 + 2 * 7


def test_map_in_bfloat16_gives_product_and_gradient_to_its_rounding():
    x, bases = inputs(SHAPES[1], True)
    x = x.bfloat16()
    out = torch.rand(x.shape)

    def product_and_gradient(x):
        x = x.detach().requires_grad_()
        product = factorise(x, bases)
        (product * out).sum().backward()
        return product, x.grad

    with ops.plain():
        expected, expected_grad = product_and_gradient(x.float())
    result, grad = product_and_gradient(x)
    assert (result.dtype, grad.dtype) == (torch.float32, torch.bfloat16)
    assert close(result, expected, 5e-3)
    assert close(grad.float(), expected_grad, 1e-2)
