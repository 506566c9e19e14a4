"""Non-negative matrix factorisation by multiplicative updates (https://arxiv.org/abs/2109.04553).

A map x (B, D, N), D channels by N = H*W positions, becomes bases (B, D, R) times coef^T (B, R, N).
Starting from coef = softmax(x^T bases), each step multiplies

    coef  <- coef  * (x^T bases) / (coef (bases^T bases))
    bases <- bases * (x coef)    / (bases (coef^T coef))

The fast path differs in the products with x. Each adds one outer product to the gradient of x, as
large as x itself and summed one after the other by autograd; here all are one product at the end.
On CPUs oneDNN multiplies, which on AMD's processors with AVX-512 takes half as long as MKL. A
bfloat16 x stays as it is and the products round the other factor like it; both factors and all else
are float32. That changes the result by about as much as its own rounding to bfloat16.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.grad import conv2d_weight

from mmseg import ops
from mmseg.ops import processor

EPS = 1e-6

Product = Callable[[Tensor], Tensor]


def factorise(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return bases and coef (B, N, R) after so many steps and one more update of coef.

    Starting bases, and with them the results, are float32 or float64. The fast path has no second
    derivatives.
    """
    if not (ops.enabled() and x.dtype == torch.bfloat16):  # the sums leave the range of float16
        x = x.to(bases.dtype)
    if not ops.enabled() or torch.compiler.is_compiling():
        return _factorise(
            lambda bases: (x.transpose(1, 2) @ bases.to(x.dtype)).to(bases.dtype),
            lambda coef: (x @ coef.to(x.dtype)).to(coef.dtype),
            bases,
            steps,
        )
    rows = x.transpose(1, 2).contiguous()
    terms: list[tuple[Tensor, Tensor]] = []
    summed = _SumOfTerms.apply(rows, terms)
    rows = rows.detach()
    return _factorise(
        lambda bases: _Product.apply(bases, rows, summed, terms, True),
        lambda coef: _Product.apply(coef, rows, summed, terms, False),
        bases,
        steps,
    )


def _factorise(
    transposed_times: Product, times: Product, bases: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    coef = transposed_times(bases).softmax(dim=-1)
    for _ in range(steps):
        coef = _updated(coef, transposed_times(bases), bases)
        bases = _updated(bases, times(coef), coef)
    return bases, _updated(coef, transposed_times(bases), bases)


def _updated(factor: Tensor, numerator: Tensor, other: Tensor) -> Tensor:
    """Multiply one factor (B, *, R) by numerator / (factor (other^T other))."""
    denominator = factor @ (other.transpose(1, 2) @ other)
    return factor * numerator / (denominator + EPS)


class _SumOfTerms(torch.autograd.Function):
    """Gives the products an empty tensor for x; autograd comes back here after the last of them.

    By then `terms` holds pairs (B, N, R) and (B, D, R) of which the gradient of the rows of x is
    the sum of products.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, terms: list) -> Tensor:
        ctx.terms, ctx.dtype = terms, rows.dtype
        return rows.new_empty(0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:
        lefts, rights = (
            torch.cat(factors, dim=2).to(ctx.dtype) for factors in zip(*ctx.terms, strict=True)
        )
        ctx.terms.clear()
        return _matmul_transposed(lefts, rights), None


class _Product(torch.autograd.Function):
    """x^T bases (B, N, R) if `transposed`, x coef (B, D, R) if not, of rows (B, N, D) of x^T."""

    @staticmethod
    def forward(
        ctx: Any, factor: Tensor, rows: Tensor, summed: Tensor, terms: list, transposed: bool
    ) -> Tensor:
        ctx.save_for_backward(factor, rows, summed)
        ctx.terms, ctx.transposed = terms, transposed
        return (_transposed_times if transposed else _times)(rows, factor)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        factor, rows, summed = ctx.saved_tensors
        ctx.terms.append((grad, factor) if ctx.transposed else (factor, grad))
        grad_factor = None
        if ctx.needs_input_grad[0]:
            grad_factor = (_times if ctx.transposed else _transposed_times)(rows, grad)
        return grad_factor, None, summed, None, None


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
