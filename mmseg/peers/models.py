"""The names by which MMSegmentation 0.x registers and builds models."""

from typing import Any

from mmseg.compat.openmmlab import adapt_component
from mmseg.registry import MODELS

BACKBONES = NECKS = HEADS = LOSSES = SEGMENTORS = MODELS


def build_segmentor(cfg: dict, train_cfg: dict | None = None, test_cfg: dict | None = None) -> Any:
    """Build a segmentor from its config; the other two stand for the keys of that name in it."""
    given = {"train_cfg": train_cfg, "test_cfg": test_cfg}
    cfg = {**cfg, **{key: value for key, value in given.items() if value is not None}}
    return MODELS.build(adapt_component(cfg, "cfg"))
