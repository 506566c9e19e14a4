"""Build a data set outside a run."""

from collections.abc import Mapping
from typing import Any

from mmengine.registry import DefaultScope

from mmseg.registry import DATASETS, SCOPE


def build_dataset(cfg: Mapping, default_args: Mapping | None = None) -> Any:
    """Build a data set from its config, also where no runner has set the scope.

    `default_args` holds for what the config leaves open.
    """
    with DefaultScope.overwrite_default_scope(SCOPE):
        return DATASETS.build({**(default_args or {}), **cfg})
