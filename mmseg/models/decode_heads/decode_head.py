"""The base of decode heads: the classifier, dropout, and the loss of upsampled logits."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS, Count, Share
from mmseg.structures import SegDataSample


class DecodeHead(BaseModule):
    """Features of the backbone -> class logits; subclasses add `forward`, which ends in `cls_seg`.

    `in_index` names the backbone's maps that the head reads, `in_channels` their widths.
    `loss_decode` is one loss config or a list whose terms are added. `out_channels=1` is for two
    classes (`SigmoidClassifier`, with `threshold`).
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: Count,
        num_classes: Count,
        in_index: int | Sequence[int],
        dropout_ratio: Share = 0.1,
        loss_decode: dict | Sequence[dict] = ({"type": "CrossEntropyLoss"},),
        align_corners: bool = False,
        ignore_index: int = 255,
        out_channels: int | None = None,
        threshold: float | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        _check_classes(num_classes, ignore_index)
        conv_seg_init = {"type": "Normal", "std": 0.01, "override": {"name": "conv_seg"}}
        super().__init__(init_cfg or conv_seg_init)
        self.in_channels: Any = _each(in_channels)
        self.in_index: Any = _each(in_index)
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.ignore_index = ignore_index
        losses = [loss_decode] if isinstance(loss_decode, dict) else loss_decode
        if not losses:
            raise UserError("decode_head.loss_decode is empty: name a loss")
        self.loss_decode = nn.ModuleList(MODELS.build(loss) for loss in losses)
        for loss in self.loss_decode:
            _check_loss(loss, num_classes)
        if out_channels in (None, num_classes) and threshold is None:
            self.conv_seg = nn.Conv2d(channels, num_classes, 1)
        else:
            _check_sigmoid(num_classes, out_channels, self.loss_decode)
            self.conv_seg = SigmoidClassifier(channels, 0.3 if threshold is None else threshold)
        self.dropout = nn.Dropout2d(dropout_ratio)

    def features(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps of `in_index`; `UserError` if they do not fit `in_channels`."""
        if isinstance(maps, Tensor):
            raise UserError(
                "the backbone returned a tensor; a tuple of maps (B, C, H, W) is needed"
            )
        widths = [each.shape[1] for each in maps]
        index, channels = _each(self.in_index), _each(self.in_channels)
        known = range(-len(widths), len(widths))
        if not {*index} <= {*known} or [widths[i] for i in index] != channels:
            raise UserError(
                f"the backbone's maps have {widths} channels; decode_head.in_index={self.in_index} "
                f"and in_channels={self.in_channels} ask for others"
            )
        return [maps[i] for i in index]

    def resize(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Interpolate (B, C, h, w) bilinearly to (B, C, *size)."""
        return F.interpolate(x, tuple(size), mode="bilinear", align_corners=self.align_corners)

    def cls_seg(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> logits (B, num_classes, h, w)."""
        return self.conv_seg(self.dropout(x))

    def predict_from(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Maps of images of `size` (h, w) -> the logits of a prediction."""
        return self(maps)

    def loss_by_feat(self, logits: Tensor, samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Compute `loss` with the labels of the samples."""
        return self.loss(logits, torch.cat([each.gt_sem_seg.data for each in samples]).long())

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compare the head's logits, upsampled to the labels' size, with labels (B, H, W) of int64.

        Returns one scalar per loss name and `acc_seg`, the percentage of right pixels among those
        that are not ignored.
        """
        if logits.shape[1] != self.num_classes:
            raise UserError(
                f"{type(self).__name__} gives logits of {logits.shape[1]} classes, but has "
                f"num_classes={self.num_classes}"
            )
        loss = self.loss_decode[0]
        counts = labels != self.ignore_index
        if len(self.loss_decode) == 1 and type(loss) is CrossEntropyLoss:
            value, right = loss.upsampled(logits, labels, self.ignore_index, self.align_corners)
            losses = {loss.loss_name: value}
        else:
            full_logits = self.resize(logits, labels.shape[1:])
            losses = self._sum_by_name(full_logits, labels)
            right = ((full_logits.argmax(1) == labels) & counts).sum()
        losses["acc_seg"] = 100.0 * right / counts.sum().clamp(min=1)
        return losses

    def _sum_by_name(self, full_logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        losses: dict[Any, Any] = {}
        for loss in self.loss_decode:
            value = loss(full_logits, labels, ignore_index=self.ignore_index)
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise UserError(f"{type(loss).__name__}: a loss returns one number, as a tensor")
            losses[loss.loss_name] = losses.get(loss.loss_name, 0) + value
        return losses


class SigmoidClassifier(nn.Conv2d):
    """Features (B, C, h, w) -> logits (B, 2, h, w) of two classes, from one channel z.

    The logits are 0 and z, whose softmax is the sigmoid of z. In evaluation the second is lower by
    the logit of `threshold`: a pixel is class 1 if its sigmoid exceeds it.
    """

    def __init__(self, channels: int, threshold: float) -> None:
        super().__init__(channels, 1, 1)
        if not 0 < threshold < 1:
            raise UserError(f"decode_head.threshold={threshold}: give a number between 0 and 1")
        self.shift = math.log(threshold / (1 - threshold))

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)
        return torch.cat([torch.zeros_like(z), z if self.training else z - self.shift], 1)


def _check_sigmoid(num_classes: int, out_channels: int | None, losses: nn.ModuleList) -> None:
    others = [type(each).__name__ for each in losses if not isinstance(each, CrossEntropyLoss)]
    if (num_classes, out_channels) != (2, 1) or others:
        raise UserError(
            f"decode_head.out_channels={out_channels}, num_classes={num_classes}"
            f"{', ' * bool(others)}{', '.join(others)}: leave out_channels and threshold out, or "
            "give out_channels=1 for two classes with CrossEntropyLoss alone"
        )


def _each(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _check_classes(num_classes: int, ignore_index: int) -> None:
    if num_classes < 2:
        raise UserError(
            f"decode_head.num_classes={num_classes}: softmax over one class is always 1 and its"
            " loss 0; for one foreground class set num_classes=2 and list classes=(background,"
            " foreground), with mask ids 0 and 1"
        )
    if ignore_index != IGNORE_INDEX:
        raise UserError(
            f"decode_head.ignore_index={ignore_index}: the label of ignored pixels is "
            f"{IGNORE_INDEX}; to leave a class out of the loss, give it the class_weight 0"
        )


def _check_loss(loss: nn.Module, num_classes: int) -> None:
    """Refuse a loss that cannot be called as one, or would be logged, but not trained."""
    weight = getattr(loss, "class_weight", None)
    if weight is not None and len(weight) != num_classes:
        raise UserError(
            f"loss_decode.class_weight has {len(weight)} values for num_classes={num_classes}: "
            "give one weight per class (tools/class_weights.py computes them)"
        )
    parameters = inspect.signature(loss.forward).parameters.values()
    if not any(p.name == "ignore_index" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise UserError(
            f"loss_decode: {type(loss).__name__} takes no ignore_index; its forward needs this "
            "argument, the label that does not count"
        )
    # mmengine adds up the values with 'loss' in their names.
    name = getattr(loss, "loss_name", None)
    if not isinstance(name, str) or "loss" not in name:
        raise UserError(
            f"loss_decode: {type(loss).__name__} has the loss_name {name!r}; it needs one with "
            "'loss' in it, by which it is added up and logged"
        )
