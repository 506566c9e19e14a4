"""Non-negative matrix factorisation by multiplicative updates (https://arxiv.org/abs/2109.04553).

A map x (B, D, N), D channels by N = H * W positions, becomes bases (B, D, R) times coef^T, with
coef (B, N, R). It starts from coef = softmax(x^T bases). Each step multiplies

    coef  <- coef  * (x^T bases) / (coef (bases^T bases))
    bases <- bases * (x coef)    / (bases (coef^T coef))
"""

from torch import Tensor

EPS = 1e-6


def factorise(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Factorise x (B, D, N), non-negative, from starting bases (B, D, R), float32 or float64.

    Returns bases (B, D, R) and coef (B, N, R) after `steps` steps and one more update of coef, in
    the dtype of the starting bases.
    """
    rows = x.to(bases.dtype).transpose(1, 2).contiguous()
    coef = (rows @ bases).softmax(dim=-1)
    for _ in range(steps):
        coef = _updated(coef, rows @ bases, bases)
        # (coef^T rows)^T is on CPUs the fastest order of x coef.
        bases = _updated(bases, (coef.transpose(1, 2) @ rows).transpose(1, 2), coef)
    return bases, _updated(coef, rows @ bases, bases)


def _updated(factor: Tensor, numerator: Tensor, other: Tensor) -> Tensor:
    """Multiply one factor (B, *, R) by numerator / (factor (other^T other))."""
    denominator = factor @ (other.transpose(1, 2) @ other)
    return factor * numerator / (denominator + EPS)
