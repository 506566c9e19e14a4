"""Non-negative matrix factorisation by multiplicative updates (https://arxiv.org/abs/2109.04553).

A map x (B, D, N), D channels by N = H*W positions, becomes bases (B, D, R) times coef^T (B, R, N).
Starting from coef = softmax(x^T bases), each step multiplies

    coef  <- coef  * (x^T bases) / (coef (bases^T bases))
    bases <- bases * (x coef)    / (bases (coef^T coef))

The fast path has a backward pass of its own. Each product with x adds an outer product to the
gradient of x, as large as x itself, and autograd would sum them one after the other; here all are
one product at the end. On CPUs oneDNN multiplies, which on AMD's processors with AVX-512 takes half
as long as MKL. A bfloat16 x stays as it is: its products round the other factor like it, and are
bfloat16; both factors and all else are float32. That changes the result by about as much as its own
rounding to bfloat16.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.grad import conv2d_weight

from mmseg import ops
from mmseg.ops import processor

EPS = 1e-6


def factorise(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return bases and coef (B, N, R) after so many steps and one more update of coef.

    Starting bases, and with them the results, are float32 or float64. The fast path has no second
    derivatives.
    """
    # Neither a compiler for CPUs nor a trace takes oneDNN's products.
    traced = torch.jit.is_tracing() or (torch.compiler.is_compiling() and x.device.type == "cpu")
    fast = ops.enabled() and not traced
    if not (fast and x.dtype == torch.bfloat16):  # the sums leave the range of float16
        x = x.to(bases.dtype)
    if fast:
        return _Factorise.apply(x.transpose(1, 2).contiguous(), bases, steps)
    coef = (x.transpose(1, 2) @ bases).softmax(dim=-1)
    for _ in range(steps):
        coef = _updated(coef, x.transpose(1, 2) @ bases, bases)
        bases = _updated(bases, x @ coef, coef)
    return bases, _updated(coef, x.transpose(1, 2) @ bases, bases)


def _updated(factor: Tensor, numerator: Tensor, other: Tensor) -> Tensor:
    """Multiply one factor (B, *, R) by numerator / (factor (other^T other))."""
    denominator = factor @ (other.transpose(1, 2) @ other)
    return factor * numerator / (denominator + EPS)


class _Factorise(torch.autograd.Function):
    """The factorisation of rows (B, N, D) of x^T.

    Each update makes factor i + 2 of the factors i and i + 1: with coef the first and bases the
    second, coef has the even numbers and bases the odd ones.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        factors = [_transposed_times(rows, bases).softmax(dim=-1), bases]
        numerators = []
        for i in range(2 * steps + 1):
            numerators.append(_product(rows, factors[i + 1], of_bases=i % 2 == 0))
            factors.append(_updated(factors[i], numerators[i], factors[i + 1]))
        ctx.save_for_backward(rows, *factors, *numerators)
        return factors[-2], factors[-1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_bases: Tensor, grad_coef: Tensor
    ) -> tuple[Tensor, Tensor | None, None]:
        rows, *saved = ctx.saved_tensors
        updates = len(saved) // 2 - 1
        factors, numerators = saved[: updates + 2], saved[updates + 2 :]
        # Of the two factors made last, the older first.
        grads = grad_bases, grad_coef
        coefs, bases = [], []  # of whose outer products the gradient of rows is the sum
        for i in reversed(range(updates)):
            other, of_bases = factors[i + 1], i % 2 == 0
            grad_factor, grad_numerator, grad_other = _gradients_of_update(
                grads[1], factors[i], numerators[i], other
            )
            grad_other += grads[0]
            grad_other += _product(rows, grad_numerator, of_bases=not of_bases)
            grads = grad_factor, grad_other
            coefs.append(grad_numerator if of_bases else other)
            bases.append(other if of_bases else grad_numerator)
        coef = factors[0]
        grad_scores = coef * (grads[0] - (grads[0] * coef).sum(-1, keepdim=True))
        coefs.append(grad_scores)
        bases.append(factors[1])
        lefts, rights = (torch.cat(terms, dim=2).to(rows.dtype) for terms in (coefs, bases))
        grad_start = None
        if ctx.needs_input_grad[1]:
            grad_start = grads[1] + _times(rows, grad_scores)
        return _matmul_transposed(lefts, rights), grad_start, None


def _gradients_of_update(
    grad: Tensor, factor: Tensor, numerator: Tensor, other: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of factor, numerator and other, given that of `_updated` of them."""
    gram = other.transpose(1, 2) @ other
    denominator = factor @ gram + EPS
    share = grad / denominator
    grad_numerator = share * factor
    grad_denominator = grad_numerator * numerator / -denominator
    grad_gram = factor.transpose(1, 2) @ grad_denominator
    grad_factor = share * numerator + grad_denominator @ gram
    return grad_factor, grad_numerator, other @ (grad_gram + grad_gram.transpose(1, 2))


def _product(rows: Tensor, factor: Tensor, of_bases: bool) -> Tensor:
    """x^T bases (B, N, R), or x coef (B, D, R)."""
    return (_transposed_times if of_bases else _times)(rows, factor)


def _transposed_times(rows: Tensor, bases: Tensor) -> Tensor:
    """(B, N, D) times (B, D, R)."""
    return _matmul_transposed(rows, bases.to(rows.dtype).transpose(1, 2)).to(bases.dtype)


def _times(rows: Tensor, coef: Tensor) -> Tensor:
    """(B, N, D) transposed, times (B, N, R)."""
    factor = coef.to(rows.dtype)
    if rows.device.type != "cpu":
        return (rows.transpose(1, 2) @ factor).to(coef.dtype)
    if _by_onednn(rows) and not processor.only_avx2():
        # It is the weight gradient of a 1x1 convolution, which with AVX2 takes twice MKL's time.
        size = (rows.shape[2], coef.shape[2], 1, 1)
        pairs = zip(_maps(factor), _maps(rows), strict=True)
        return torch.stack([conv2d_weight(x, size, grad) for x, grad in pairs]).flatten(2)
    # One by one: stacks of matrices that lie transposed take torch eight times as long.
    products = [image.T @ matrix for image, matrix in zip(rows, factor, strict=True)]
    return torch.stack(products).to(coef.dtype)


def _maps(rows: Tensor) -> tuple[Tensor, ...]:
    """(B, N, C) -> B maps (1, C, N, 1), channels_last down to the strides that oneDNN looks at."""
    return rows.contiguous()[:, :, None].permute(0, 3, 1, 2).split(1)


def _matmul_transposed(a: Tensor, b: Tensor) -> Tensor:
    """(B, M, K) times (B, N, K) transposed."""
    if not _by_onednn(a):
        return a @ b.transpose(1, 2)
    a, b = a.contiguous(), b.contiguous()
    return torch.stack(
        [
            torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
            for left, right in zip(a, b, strict=True)
        ]
    )


def _by_onednn(x: Tensor) -> bool:
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and torch.backends.mkldnn.is_available()
