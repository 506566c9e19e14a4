"""Non-negative matrix factorisation by multiplicative updates (https://arxiv.org/abs/2109.04553).

A map x (B, D, N), D channels by N = H*W positions, becomes bases (B, D, R) times coef^T (B, R, N).
Starting from coef = softmax(x^T bases), each step multiplies

    coef  <- coef  * (x^T bases) / (coef (bases^T bases))
    bases <- bases * (x coef)    / (bases (coef^T coef))
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mmseg import ops

EPS = 1e-6

Product = Callable[[Tensor], Tensor]


def factorise(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return bases and coef (B, N, R) after so many steps and one more update of coef.

    All float32 or float64. Inference on a CPU has oneDNN multiply by x, which on AMD's processors
    takes half as long as MKL.
    """
    by_onednn = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()
    by_onednn = by_onednn and torch.backends.mkldnn.is_available() and ops.enabled()
    if by_onednn and not torch.compiler.is_compiling():
        return _factorise(_times(x.transpose(1, 2)), _times(x), bases, steps)
    return _factorise(lambda b: x.transpose(1, 2) @ b, lambda c: x @ c, bases, steps)


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


def _times(x: Tensor) -> Product:
    """Return the product of x (B, M, K), of which oneDNN wants contiguous rows, with (B, K, R)."""
    # One by one: torch transposes matrices four times as fast as stacks of them.
    rows = [image.contiguous() for image in x]

    def product(factor: Tensor) -> Tensor:
        columns = factor.transpose(1, 2).contiguous()
        return torch.stack(
            [
                torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
                for a, b in zip(rows, columns, strict=True)
            ]
        )

    return product
