"""The names by which MMSegmentation 0.x registers and builds models."""

from typing import Any

from mmseg.registry import MODELS

BACKBONES = NECKS = HEADS = LOSSES = SEGMENTORS = MODELS


def build_segmentor(cfg: dict, train_cfg: dict | None = None, test_cfg: dict | None = None) -> Any:
    """Build a segmentor from its config; the other two stand for the keys of that name in it."""
    given = {"train_cfg": train_cfg, "test_cfg": test_cfg}
    return MODELS.build(_adapted({**cfg, **{k: v for k, v in given.items() if v is not None}}))


def _adapted(cfg: dict) -> dict:
    # Imported here: configs are checked against the classes of this package.
    from mmseg.compat.openmmlab import adapt_component

    return adapt_component(cfg, "cfg")
