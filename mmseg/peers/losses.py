"""Losses of MMSegmentation 1.x, and what code that brings a loss along imports."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.models.losses import one_hot, weight_reduce_loss
from mmseg.peers.transforms import found_in
from mmseg.registry import MODELS


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


@found_in(MODELS)
class FocalLoss(nn.Module):
    """The focal loss of each class against all others, mean over pixels and classes (1708.02002).

    p is the probability of the right answer. The loss is -a (1 - p)^gamma log p, where a is `alpha`
    for the labelled class and 1 - `alpha` for the others. Ignored pixels add 0 and count in the
    mean.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float | Sequence[float] = 0.5,
        reduction: str = "mean",
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = "loss_focal",
    ) -> None:
        super().__init__()
        assert use_sigmoid, "FocalLoss: only use_sigmoid=True"
        self.gamma, self.alpha, self.reduction = gamma, alpha, reduction
        self.class_weight, self.loss_weight, self.loss_name = class_weight, loss_weight, loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Compare logits (B, K, H, W) with labels (B, H, W)."""
        logits = logits.float()
        target = one_hot(labels, logits.shape[1], ignore_index).to(logits)
        wrong = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        alpha, class_weight = (
            logits.new_tensor(each).view(-1, 1, 1) for each in (self.alpha, self.class_weight or 1)
        )
        focus = (alpha * target + (1 - alpha) * (1 - target)) * (
            1 - torch.exp(-wrong)
        ) ** self.gamma
        loss = wrong * focus * class_weight * (labels != ignore_index)[:, None]
        reduction = reduction_override or self.reduction
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)
