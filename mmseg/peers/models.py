"""Models as code for MMSegmentation writes and builds them: types, builders, losses and heads."""

import functools
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.registry import Registry, build_model_from_cfg
from torch import Tensor, nn

from mmseg.compat.openmmlab import adapt_component
from mmseg.errors import UserError
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import DecodeHead
from mmseg.models.losses import weight_reduce_loss
from mmseg.peers.transforms import offer, require
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

CROSS_ENTROPY = {"type": "CrossEntropyLoss"}
RELU = {"type": "ReLU"}
KNOWN = (None, "resize_concat", "multiple_select")  # values of `input_transform`

# The types in the signatures of heads, losses and models, which nothing checks.
ConfigType = OptConfigType = MultiConfig = OptMultiConfig = ForwardResults = Any
SampleList = OptSampleList = TensorDict = TensorList = Any

BaseSegmentor = EncoderDecoder
BACKBONES = NECKS = HEADS = LOSSES = SEGMENTORS = MODELS
build_backbone = build_neck = build_head = build_loss = MODELS.build


def build_adapted(cfg: Any, registry: Registry, default_args: Mapping | None = None) -> Any:
    """Build a part of a model from its config of any dialect; `MODELS.build` does it.

    Raises `UserError` for a class that is not registered.
    """
    try:
        return build_model_from_cfg(adapt_component(cfg, "cfg"), registry, default_args)
    except KeyError as error:
        name, unknown, _ = str(error).strip("'\"").partition(" is not in the ")
        if not unknown:
            raise
        raise UserError(
            f"{name} is not here: import the module of your own class before, or see what "
            "docs/migration.md has instead"
        ) from error


def build_segmentor(
    cfg: Mapping, train_cfg: Mapping | None = None, test_cfg: Mapping | None = None
) -> Any:
    """Build a segmentor from its config; the other two stand for the keys of that name in it."""
    given = {"train_cfg": train_cfg, "test_cfg": test_cfg}
    return MODELS.build({**cfg, **{k: v for k, v in given.items() if v is not None}})


def weighted_loss(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give `loss(pred, target, **options)`, one value per element, the arguments of a whole loss.

    These are `weight`, `reduction` and `avg_factor` of `weight_reduce_loss`.
    """

    @functools.wraps(loss)
    def whole(pred, target, weight=None, reduction="mean", avg_factor=None, **options):
        return weight_reduce_loss(loss(pred, target, **options), weight, reduction, avg_factor)

    return whole


def accuracy(pred: Tensor, target: Tensor, ignore_index: int | None = None) -> Tensor:
    """Return the percentage of right pixels of logits (B, K, H, W), a tensor of one number."""
    counts = torch.ones_like(target) if ignore_index is None else target != ignore_index
    right = (pred.argmax(1) == target) & counts.bool()
    return 100.0 * right.sum().view(1) / counts.sum().clamp(min=1)


def add_prefix(inputs: dict, prefix: str) -> dict:
    """Return a dict with `prefix.` before each key."""
    return {f"{prefix}.{key}": value for key, value in inputs.items()}


def resize(*args: Any, warning: bool = True, **kwargs: Any) -> Tensor:
    """Call torch's `interpolate`; `warning` has no effect."""
    return F.interpolate(*args, **kwargs)


class BaseDecodeHead(DecodeHead):
    """A `DecodeHead` with the arguments and methods of MMSegmentation 1.x.

    A subclass adds `forward`, and may override `loss_by_feat`, `predict` or `predict_by_feat`. It
    cannot override `loss`: the segmentor has computed the logits by then.
    """

    def __init__(
        self,
        in_channels: Any,
        channels: int,
        *,
        num_classes: int,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = RELU,
        in_index: Any = -1,
        input_transform: str | None = None,
        loss_decode: Any = CROSS_ENTROPY,
        sampler: None = None,
        **kwargs: Any,
    ) -> None:
        name = f"{type(self).__name__}: "
        require(type(self).loss is BaseDecodeHead.loss, name + "override loss_by_feat, not loss")
        require(sampler is None, name + "no pixel sampler is here; weigh the loss (class_weight)")
        require(input_transform in KNOWN, name + f"input_transform is one of {KNOWN}")
        lists = [isinstance(value, list | tuple) for value in (in_channels, in_index)]
        fits = lists[0] == lists[1] and (not lists[0] or len(in_channels) == len(in_index))
        require(fits, name + "in_channels and in_index are two numbers or two lists of one length")
        require(lists[0] or input_transform is None, name + f"{input_transform} takes lists")
        losses = adapt_component(loss_decode, "loss_decode")
        super().__init__(in_channels, channels, num_classes, in_index, loss_decode=losses, **kwargs)
        self.sampler, self.out_channels = sampler, kwargs.get("out_channels") or num_classes
        self.channels, self.input_transform, self.in_index = channels, input_transform, in_index
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        self.in_channels = sum(in_channels) if input_transform == "resize_concat" else in_channels

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Any:
        """Return the map of `in_index`, or its maps as a list or, resized to the first, as one."""
        if isinstance(self.in_index, int):
            return inputs[self.in_index]
        maps = [inputs[i] for i in self.in_index]
        if self.input_transform != "resize_concat":
            return maps
        return torch.cat([self.resize(each, maps[0].shape[2:]) for each in maps], 1)

    # Subclasses of MMSegmentation's head override and call these by its names and arguments.
    def loss(  # type: ignore[override]
        self, inputs: Any, batch_data_samples: Sequence[SegDataSample], train_cfg: Any = None
    ) -> dict[str, Tensor]:
        return self.loss_by_feat(self(inputs), batch_data_samples)

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: Sequence[SegDataSample]
    ) -> dict[str, Tensor]:
        labels = self._stack_batch_gt(batch_data_samples)
        return super().loss(seg_logits, labels.reshape(-1, *labels.shape[-2:]).long())

    def _stack_batch_gt(self, batch_data_samples: Sequence[SegDataSample]) -> Tensor:
        return torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])

    def predict(self, inputs: Any, batch_img_metas: Sequence[dict], test_cfg: Any = None) -> Tensor:
        return self.predict_by_feat(self(inputs), batch_img_metas)

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: Sequence[dict]) -> Tensor:
        meta = batch_img_metas[0]
        return self.resize(seg_logits, meta.get("pad_shape", meta["img_shape"])[:2])

    def predict_from(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Call `predict` only if a subclass changes it: it upsamples all logits of the image."""
        own, base = type(self), BaseDecodeHead
        changed = (own.predict, own.predict_by_feat) != (base.predict, base.predict_by_feat)
        metas = [{"img_shape": tuple(size), "pad_shape": tuple(size)}] * len(maps[0])
        return self.predict(maps, metas) if changed else self(maps)


class FCNHead(BaseDecodeHead):
    """Convolutions, then one of their result with their input, then the classifier (1411.4038)."""

    def __init__(
        self,
        num_convs: int = 2,
        kernel_size: int = 3,
        concat_input: bool = True,
        dilation: int = 1,
        **kwargs: Any,
    ) -> None:
        require(num_convs >= 0 and dilation > 0, "FCNHead: num_convs from 0, dilation from 1")
        super().__init__(**kwargs)
        right = num_convs > 0 or self.in_channels == self.channels
        require(right, "FCNHead: num_convs=0 keeps channels")
        self.concat_input = concat_input
        widths = [self.in_channels, *[self.channels] * num_convs]
        steps = [self._conv(*pair, kernel_size, dilation) for pair in pairwise(widths)]
        self.convs = nn.Sequential(*steps) if steps else nn.Identity()
        if concat_input:
            self.conv_cat = self._conv(self.in_channels + self.channels, self.channels, kernel_size)

    def _conv(self, before: int, after: int, size: int, dilation: int = 1) -> nn.Module:
        how = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        padding = size // 2 * dilation
        return ConvModule(before, after, size, padding=padding, dilation=dilation, **how)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        x = self._transform_inputs(inputs)
        features = self.convs(x)
        if self.concat_input:
            features = self.conv_cat(torch.cat([x, features], 1))
        return self.cls_seg(features)


offer(MODELS, FCNHead)
