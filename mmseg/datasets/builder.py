"""Build a data set outside a run; join and repeat data sets."""

from collections.abc import Mapping
from typing import Any

from mmengine import dataset
from mmengine.registry import DefaultScope

from mmseg.compat.legacy.data import translate_dataset
from mmseg.compat.openmmlab import adapt_component
from mmseg.randomness import Seeded
from mmseg.registry import DATASETS, SCOPE


@DATASETS.register_module()
class ConcatDataset(Seeded, dataset.ConcatDataset):
    """Several data sets one after the other."""


@DATASETS.register_module()
class RepeatDataset(Seeded, dataset.RepeatDataset):
    """One data set several times."""


@DATASETS.register_module()
class ClassBalancedDataset(Seeded, dataset.ClassBalancedDataset):
    """A data set in which samples of rare classes come more often."""


def build_dataset(cfg: Mapping, default_args: Mapping | None = None) -> Any:
    """Build a data set from its config of any dialect, also where no runner has set the scope.

    `default_args` holds for what the config leaves open.
    """
    cfg = {**(default_args or {}), **cfg}
    if "img_dir" in cfg:
        cfg = translate_dataset(cfg, cfg.get("test_mode", False), {})
    with DefaultScope.overwrite_default_scope(SCOPE):
        return DATASETS.build(adapt_component(cfg, "data set"))
