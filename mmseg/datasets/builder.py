"""The names that code for MMSegmentation 0.x uses to register and build data sets."""

from typing import Any

from mmengine.registry import DefaultScope

from mmseg.registry import DATASETS, SCOPE, TRANSFORMS

PIPELINES = TRANSFORMS


def build_dataset(cfg: dict) -> Any:
    """Build a data set from its config, also where no runner has set the scope."""
    with DefaultScope.overwrite_default_scope(SCOPE):
        return DATASETS.build(cfg)


__all__ = ["DATASETS", "PIPELINES", "TRANSFORMS", "build_dataset"]
