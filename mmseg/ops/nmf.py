"""Non-negative matrix factorisation by multiplicative updates (https://arxiv.org/abs/2109.04553).

A map x (B, D, N), D channels by N = H * W positions, becomes bases (B, D, R) times coef^T, with
coef (B, N, R). It starts from coef = softmax(x^T bases). Each step multiplies

    coef  <- coef  * (x^T bases) / (coef (bases^T bases))
    bases <- bases * (x coef)    / (bases (coef^T coef))

The backward pass is written out. Each product with x adds an outer product, as large as x, to the
gradient of x. Autograd would compute and add them one by one; here they are one product at the end.
"""

from typing import Any

import torch
from torch import Tensor

EPS = 1e-6


def factorise(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Factorise x (B, D, N), non-negative, from starting bases (B, D, R), float32 or float64.

    Returns bases (B, D, R) and coef (B, N, R) after `steps` steps and one more update of coef, in
    the dtype of the starting bases. There are no second derivatives.
    """
    rows = x.to(bases.dtype).transpose(1, 2).contiguous()
    if torch.is_grad_enabled() and (rows.requires_grad or bases.requires_grad):
        return _Factorise.apply(rows, bases, steps)
    coef = (rows @ bases).softmax(dim=-1)
    for _ in range(steps):
        coef = _updated(coef, rows @ bases, bases)
        bases = _updated(bases, _times(rows, coef), coef)
    return bases, _updated(coef, rows @ bases, bases)


def _updated(factor: Tensor, numerator: Tensor, other: Tensor) -> Tensor:
    """Multiply one factor (B, *, R) by numerator / (factor (other^T other))."""
    denominator = factor @ (other.transpose(1, 2) @ other)
    return factor * numerator / (denominator + EPS)


def _times(rows: Tensor, coef: Tensor) -> Tensor:
    """Return x coef, (B, D, R), from rows = x^T (B, N, D)."""
    return (coef.transpose(1, 2) @ rows).transpose(1, 2)  # on CPUs the fastest order


class _Factorise(torch.autograd.Function):
    """The factorisation of rows = x^T (B, N, D).

    The factors are numbered: 0 is the first coef, 1 the starting bases, and update i makes factor
    i + 2 from the factors i and i + 1. So coef has the even numbers and bases the odd ones.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        factors, numerators = [(rows @ bases).softmax(dim=-1), bases], []
        for i in range(2 * steps + 1):
            other = factors[i + 1]
            numerators.append(rows @ other if i % 2 == 0 else _times(rows, other))
            factors.append(_updated(factors[i], numerators[i], other))
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
        older, newer = grad_bases, grad_coef  # gradients of the two factors that were made last
        coefs, bases = [], []  # the gradient of rows is the sum of coef bases^T over these pairs
        for i in reversed(range(updates)):
            other = factors[i + 1]
            grad_factor, grad_numerator, grad_other = _update_gradients(
                newer, factors[i], numerators[i], other
            )
            if i % 2 == 0:
                grad_other = grad_other + _times(rows, grad_numerator)
                coefs.append(grad_numerator)
                bases.append(other)
            else:
                grad_other = grad_other + rows @ grad_numerator
                coefs.append(other)
                bases.append(grad_numerator)
            older, newer = grad_factor, older + grad_other
        coef = factors[0]
        coefs.append(coef * (older - (older * coef).sum(-1, keepdim=True)))  # of the softmax
        bases.append(factors[1])
        grad_rows = torch.cat(coefs, dim=2) @ torch.cat(bases, dim=2).transpose(1, 2)
        grad_start = newer + _times(rows, coefs[-1]) if ctx.needs_input_grad[1] else None
        return grad_rows, grad_start, None


def _update_gradients(
    grad: Tensor, factor: Tensor, numerator: Tensor, other: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of factor, numerator and other, given the one of `_updated`."""
    gram = other.transpose(1, 2) @ other
    denominator = factor @ gram + EPS
    share = grad / denominator
    grad_numerator = share * factor
    grad_denominator = -grad_numerator * numerator / denominator
    grad_gram = factor.transpose(1, 2) @ grad_denominator
    grad_factor = share * numerator + grad_denominator @ gram
    return grad_factor, grad_numerator, other @ (grad_gram + grad_gram.transpose(1, 2))
