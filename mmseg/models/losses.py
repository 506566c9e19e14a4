"""Losses of full-size logits (B, K, H, W) against labels (B, H, W) of int64.

This file alone decides how ignored pixels count. They have no target in any loss. Cross entropy
divides by all pixels, ignored ones included, as the official code does (`avg_non_ignore=False`).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg.errors import UserError
from mmseg.ops.cross_entropy import upsampled_cross_entropy
from mmseg.registry import MODELS, NotNegative, Weights


class _Loss(nn.Module):
    class_weight: Tensor | None
    compare: Callable[..., Tensor]

    def __init__(
        self, class_weight: Sequence[float] | None, loss_weight: float, loss_name: str
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer("class_weight", weight, persistent=False)

    def forward(
        self, logits: Tensor, labels: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        """Compare logits (B, K, H, W) with labels (B, H, W); single pixels have no `weight`."""
        if weight is not None:
            raise UserError(f"{type(self).__name__} weighs classes (class_weight), not pixels")
        return self.compare(logits, labels, ignore_index)


@MODELS.register_module()
class CrossEntropyLoss(_Loss):
    """Softmax cross entropy, each pixel weighted by the weight of its class.

    The mean is over all pixels, ignored ones included (they add 0); with `avg_non_ignore` it is
    over the weights of the pixels that count, torch's own definition. An all-ignored batch gives 0.
    """

    def __init__(
        self,
        class_weight: Weights | None = None,
        loss_weight: NotNegative = 1.0,
        avg_non_ignore: bool = False,
        loss_name: str = "loss_ce",
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)
        self.avg_non_ignore = avg_non_ignore

    def compare(self, logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
        # Summed outside the kernel, which has no deterministic sum on CUDA.
        loss = F.cross_entropy(
            logits, labels, self.class_weight, ignore_index=ignore_index, reduction="none"
        )
        return self._mean(loss.sum(), labels, ignore_index)

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


def weight_reduce_loss(
    loss: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: float | None = None,
) -> Tensor:
    """Weigh a loss by element and return its 'mean', its 'sum' or, for 'none', all of it.

    With `avg_factor` the mean is the sum divided by this number.
    """
    if weight is not None:
        assert weight.ndim == loss.ndim and len(weight) in (1, len(loss)), "one weight per element"
        loss = loss * weight
    if reduction == "none":
        return loss
    if avg_factor is None:
        return loss.mean() if reduction == "mean" else loss.sum()
    if reduction != "mean":
        raise UserError(f"avg_factor does not go with reduction={reduction!r}: use 'mean'")
    return loss.sum() / (avg_factor + torch.finfo(torch.float32).eps)


@MODELS.register_module()
class DiceLoss(nn.Module):
    """1 - 2 p*t / (|p|^2 + |t|^2) per image, over all its pixels and classes (arXiv 1606.04797).

    Arguments and results are those of MMSegmentation 1.x. p is the sigmoid of the logits, or their
    softmax, or with `activate=False` the logits. `naive_dice` divides by |p| + |t|. `eps` keeps the
    fraction defined. The class `ignore_index` is left out. In ignored pixels t is 0, and p counts.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        activate: bool = True,
        reduction: str = "mean",
        naive_dice: bool = False,
        loss_weight: NotNegative = 1.0,
        ignore_index: int | None = 255,
        eps: float = 1e-3,
        loss_name: str = "loss_dice",
    ) -> None:
        super().__init__()
        self.loss_weight, self.loss_name = loss_weight, loss_name
        self.use_sigmoid, self.activate, self.reduction = use_sigmoid, activate, reduction
        self.naive_dice, self.left_out, self.eps = naive_dice, ignore_index, eps

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Compare logits (B, K, H, W) with labels (B, H, W), or with a target (B, K, H, W)."""
        prob, target = logits.float(), labels
        if labels.shape != logits.shape:
            target = one_hot(labels, logits.shape[1], ignore_index)
        if self.activate:
            prob = prob.sigmoid() if self.use_sigmoid else prob.softmax(1)
        kept = [k for k in range(logits.shape[1]) if k != self.left_out]
        assert kept, "ignore_index is the only class"
        p, t = prob[:, kept].flatten(1), target[:, kept].flatten(1).float()
        if self.naive_dice:
            dice = (2 * (p * t).sum(1) + self.eps) / (p.sum(1) + t.sum(1) + self.eps)
        else:
            dice = 2 * (p * t).sum(1) / (p.square().sum(1) + t.square().sum(1) + 2 * self.eps)
        reduction = reduction_override or self.reduction
        return self.loss_weight * weight_reduce_loss(1 - dice, weight, reduction, avg_factor)


def one_hot(labels: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Labels (B, H, W) -> targets (B, K, H, W) of 0 and 1; ignored pixels have only 0."""
    valid = labels != ignore_index
    return F.one_hot(labels.where(valid, 0), num_classes).permute(0, 3, 1, 2) * valid[:, None]


@MODELS.register_module()
class ClassDiceLoss(_Loss):
    """1 - 2 |p*t| / (|p|^e + |t|^e) per image and class, averaged: `DiceLoss` of 0.x.

    p is the softmax of the logits, e the `exponent`. `smooth` is added above and below, so that a
    class absent from label and prediction costs 0. Ignored pixels count nowhere.
    """

    def __init__(
        self,
        class_weight: Weights | None = None,
        loss_weight: NotNegative = 1.0,
        smooth: float = 1.0,
        exponent: float = 2,
        loss_name: str = "loss_dice",
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)
        self.smooth, self.exponent = smooth, exponent

    def compare(self, logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
        target = one_hot(labels, logits.shape[1], ignore_index)
        prob = logits.float().softmax(1) * (labels != ignore_index)[:, None]
        overlap = (prob * target).sum((2, 3))  # (B, K)
        norm = prob.pow(self.exponent).sum((2, 3)) + target.sum((2, 3))
        dice = 1 - (2 * overlap + self.smooth) / (norm + self.smooth)
        if self.class_weight is not None:
            dice = dice * self.class_weight
        return self.loss_weight * dice.mean()


@MODELS.register_module()
class LovaszLoss(_Loss):
    """Lovasz-softmax, a convex surrogate of 1 - IoU (arXiv 1705.08790), over the classes present.

    The pixels of a batch are taken together, or with `per_image` those of an image, and then the
    mean over the images. An all-ignored batch gives 0.
    """

    def __init__(
        self,
        class_weight: Weights | None = None,
        loss_weight: NotNegative = 1.0,
        per_image: bool = False,
        loss_name: str = "loss_lovasz",
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)
        self.per_image = per_image

    def compare(self, logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
        if self.per_image and len(logits) > 1:
            images = zip(logits.split(1), labels.split(1), strict=True)
            return torch.stack([self.compare(*image, ignore_index) for image in images]).mean()
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
