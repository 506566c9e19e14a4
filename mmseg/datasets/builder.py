"""Build a data set outside a run."""

from collections.abc import Mapping
from typing import Any

from mmengine.registry import DefaultScope

from mmseg.compat.legacy.data import translate_dataset
from mmseg.compat.openmmlab import adapt_component
from mmseg.registry import DATASETS, SCOPE


def build_dataset(cfg: Mapping, default_args: Mapping | None = None) -> Any:
    """Build a data set from its config of any dialect, also where no runner has set the scope.

    `default_args` holds for what the config leaves open.
    """
    cfg = {**(default_args or {}), **cfg}
    if "img_dir" in cfg:
        cfg = translate_dataset(cfg, cfg.get("test_mode", False), {})
    with DefaultScope.overwrite_default_scope(SCOPE):
        return DATASETS.build(adapt_component(cfg, "data set"))
