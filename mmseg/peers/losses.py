"""Losses of MMSegmentation 1.x, and what code that brings a loss along imports."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mmseg.models.losses import weight_reduce_loss


def weighted_loss(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give `loss(pred, target, **options)`, one value per element, the arguments of a whole loss.

    These are `weight`, `reduction` and `avg_factor` of `weight_reduce_loss`.
    """

    @functools.wraps(loss)
    def wrapper(
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: str = "mean",
        avg_factor: float | None = None,
        **options: Any,
    ) -> Tensor:
        return weight_reduce_loss(loss(pred, target, **options), weight, reduction, avg_factor)

    return wrapper


def accuracy(pred: Tensor, target: Tensor, ignore_index: int | None = None) -> Tensor:
    """Return the percentage of right pixels of logits (B, K, H, W), a tensor of one number."""
    counts = torch.ones_like(target) if ignore_index is None else target != ignore_index
    right = (pred.argmax(1) == target) & counts.bool()
    return 100.0 * right.sum().view(1) / counts.sum().clamp(min=1)
