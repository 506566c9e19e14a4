"""Offset learning, a classifier whose classes and features adapt to the image (ICCV 2025).

Source: "Revisiting Efficient Semantic Segmentation: Learning Offsets for Better Spatial and Class
Feature Alignment", arXiv 2508.08811. Names of parameters are those of the published checkpoints.
"""

from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg.models.decode_heads.ham_head import LightHamHead
from mmseg.registry import MODELS


class OffsetLearning(BaseModule):
    """Features (B, C, h, w) -> logits (B, K, h, w) of K classes; usable in any decode head.

    With features F (B, N, C) of N = h*w positions and class representations P (K, C):

        A  = P F^T                          similarities (B, K, N)
        P' = P + W_c (softmax_N(A) F)       the classes as they look in this image
        F' = F + W_f (softmax_K(A)^T P)     the features moved towards their classes
        logits = layer_norm_K(F' P'^T)

    The softmax over the positions depends on the size of the input. A large image is best predicted
    in windows of the training's size. Both softmaxes are computed in float32.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_repr = nn.Parameter(torch.empty(1, num_classes, channels))
        self.cls_offset_proj = nn.Linear(channels, channels, bias=False)
        self.feat_offset_proj = nn.Linear(channels, channels, bias=False)
        self.mask_norm = nn.LayerNorm(num_classes, eps=1e-5)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the weights from a truncated normal distribution of deviation 0.02 (the paper)."""
        for weight in (self.cls_repr, self.cls_offset_proj.weight, self.feat_offset_proj.weight):
            nn.init.trunc_normal_(weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        features = x.flatten(2).transpose(1, 2)
        similarity = self.cls_repr @ features.transpose(1, 2)
        precision = torch.promote_types(x.dtype, torch.float32)
        share_of_position = similarity.to(precision).softmax(2).to(x.dtype)
        share_of_class = similarity.to(precision).softmax(1).to(x.dtype)
        classes = self.cls_repr + self.cls_offset_proj(share_of_position @ features)
        features = features + self.feat_offset_proj(share_of_class.transpose(1, 2) @ self.cls_repr)
        logits = self.mask_norm(features @ classes.transpose(1, 2))
        return logits.transpose(1, 2).unflatten(2, x.shape[2:])


@MODELS.register_module()
class LightHamHeadOffsetLearning(LightHamHead):
    """`LightHamHead` with offset learning in the place of dropout and `conv_seg`."""

    def __init__(self, *args: Any, init_cfg: dict | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels = self.conv_seg.in_channels
        del self.conv_seg  # and its initialisation, in init_cfg
        self.init_cfg = init_cfg
        self.offset_learning = OffsetLearning(channels, self.num_classes)

    def cls_seg(self, x: Tensor) -> Tensor:
        return self.offset_learning(x)
