"""The names by which MMSegmentation 0.x registers and builds data sets and transforms."""

from typing import Any

from mmseg.registry import DATASETS, TRANSFORMS

PIPELINES = TRANSFORMS


def build_dataset(cfg: dict) -> Any:
    """Build a data set from its config."""
    return DATASETS.build(cfg)


__all__ = ["DATASETS", "PIPELINES", "TRANSFORMS", "build_dataset"]
