"""Losses of full-size logits (B, K, H, W) against labels (B, H, W) of int64.

This file alone decides how ignored pixels count. All three losses skip them; cross entropy divides
by all pixels, ignored ones included, as the official code does (`avg_non_ignore=False`).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.ops.cross_entropy import cross_entropy, upsampled_cross_entropy
from mmseg.registry import MODELS


class _Loss(nn.Module):
    class_weight: Tensor | None

    def __init__(
        self, class_weight: Sequence[float] | None, loss_weight: float, loss_name: str
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer("class_weight", weight, persistent=False)


@MODELS.register_module()
class CrossEntropyLoss(_Loss):
    """Softmax cross entropy, each pixel weighted by the weight of its class.

    The mean is over all pixels, ignored ones included (they add 0); with `avg_non_ignore` it is
    over the weights of the pixels that count, torch's own definition. An all-ignored batch gives 0.
    """

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        avg_non_ignore: bool = False,
        loss_name: str = "loss_ce",
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)
        self.avg_non_ignore = avg_non_ignore

    def forward(self, logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
        total = cross_entropy(logits, labels, self.class_weight, ignore_index)
        return self._mean(total, labels, ignore_index)

    def upsampled(
        self, logits: Tensor, labels: Tensor, ignore_index: int, align_corners: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of logits (B, K, h, w) upsampled to the size of labels (B, H, W).

        The second result is the number of right pixels. The upsampled logits are never held at
        once (`mmseg.ops.cross_entropy`).
        """
        total, right = upsampled_cross_entropy(
            logits, labels, self.class_weight, ignore_index, align_corners
        )
        return self._mean(total, labels, ignore_index), right

    def _mean(self, total: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
        """Turn the weighted sum over the pixels of labels (B, H, W) into the loss."""
        if not self.avg_non_ignore:
            return self.loss_weight * total / labels.numel()
        # Not `labels[counts]`, for whose size a GPU would be waited for.
        counts = labels != ignore_index
        weights = counts
        if self.class_weight is not None:
            weights = self.class_weight[labels.where(counts, 0)] * counts
        return self.loss_weight * total / weights.sum().clamp(min=torch.finfo(total.dtype).tiny)


@MODELS.register_module()
class DiceLoss(_Loss):
    """1 - 2 |p*t| / (|p|^2 + |t|^2) per image and class, averaged (V-Net, arXiv 1606.04797).

    `smooth` is added above and below, so that a class absent from label and prediction costs 0.
    """

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        smooth: float = 1.0,
        loss_name: str = "loss_dice",
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)
        self.smooth = smooth

    def forward(self, logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
        num_classes = logits.shape[1]
        valid = labels != ignore_index
        target = F.one_hot(labels.where(valid, 0), num_classes).permute(0, 3, 1, 2)
        target = target * valid[:, None]
        prob = logits.float().softmax(1) * valid[:, None]
        overlap = (prob * target).sum((2, 3))  # (B, K)
        norm = prob.square().sum((2, 3)) + target.sum((2, 3))
        dice = 1 - (2 * overlap + self.smooth) / (norm + self.smooth)
        if self.class_weight is not None:
            dice = dice * self.class_weight
        return self.loss_weight * dice.mean()


@MODELS.register_module()
class LovaszLoss(_Loss):
    """Lovasz-softmax, a convex surrogate of 1 - IoU (arXiv 1705.08790), over the classes present.

    The pixels of a batch are taken together; an all-ignored batch gives 0.
    """

    def __init__(
        self,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = "loss_lovasz",
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)

    def forward(self, logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
        valid = labels != ignore_index
        labels = labels[valid]
        prob = logits.float().softmax(1).permute(0, 2, 3, 1)[valid]  # (pixels, K)
        losses = []
        for cls in labels.unique().tolist():
            target = (labels == cls).float()
            errors, order = (target - prob[:, cls]).abs().sort(descending=True)
            weight = 1.0 if self.class_weight is None else self.class_weight[cls]
            losses.append(weight * (errors * _lovasz_gradient(target[order])).sum())
        mean = torch.stack(losses).mean() if losses else logits.sum() * 0.0
        return self.loss_weight * mean


def _lovasz_gradient(target: Tensor) -> Tensor:
    """Gradient of the Lovasz extension at errors sorted downwards (algorithm 1 of the paper)."""
    intersection = target.sum() - target.cumsum(0)
    union = target.sum() + (1 - target).cumsum(0)
    jaccard = 1 - intersection / union
    jaccard[1:] = jaccard[1:] - jaccard[:-1]
    return jaccard
