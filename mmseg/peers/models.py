"""Names and functions of the code of MMSegmentation's models and losses."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.registry import Registry, build_model_from_cfg
from torch import Tensor

from mmseg.compat.openmmlab import adapt_component
from mmseg.errors import UserError
from mmseg.models import EncoderDecoder
from mmseg.models.losses import weight_reduce_loss
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

# The types in the signatures of heads, losses and models.
ConfigType = OptConfigType = MultiConfig = OptMultiConfig = Any
SampleList = OptSampleList = Sequence[SegDataSample]
TensorDict = dict[str, Tensor]
TensorList = Sequence[Tensor]
ForwardResults = dict[str, Tensor] | Sequence[SegDataSample] | Tensor

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
