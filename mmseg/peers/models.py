"""The names by which MMSegmentation 0.x registers and builds models."""

from collections.abc import Mapping
from typing import Any

from mmengine.registry import Registry, build_model_from_cfg

from mmseg.compat.openmmlab import adapt_component
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS

BaseSegmentor = EncoderDecoder
BACKBONES = NECKS = HEADS = LOSSES = SEGMENTORS = MODELS
build_backbone = build_neck = build_head = build_loss = MODELS.build


def build_adapted(cfg: Any, registry: Registry, default_args: Mapping | None = None) -> Any:
    """Build a part of a model from its config of any dialect; `MODELS.build` does it."""
    return build_model_from_cfg(adapt_component(cfg, "cfg"), registry, default_args)


def build_segmentor(
    cfg: Mapping, train_cfg: Mapping | None = None, test_cfg: Mapping | None = None
) -> Any:
    """Build a segmentor from its config; the other two stand for the keys of that name in it."""
    given = {"train_cfg": train_cfg, "test_cfg": test_cfg}
    return MODELS.build(
        {**cfg, **{key: value for key, value in given.items() if value is not None}}
    )
