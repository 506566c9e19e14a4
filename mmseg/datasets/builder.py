"""The names that code for MMSegmentation 0.x uses to write, register and build data sets."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mmengine.registry import DefaultScope

from mmseg.datasets.base import BaseSegDataset
from mmseg.registry import DATASETS, SCOPE, TRANSFORMS

PIPELINES = TRANSFORMS


@DATASETS.register_module()
class CustomDataset(BaseSegDataset):
    """A base of data sets: its subclasses state `CLASSES` and `PALETTE` instead of `METAINFO`."""

    CLASSES: ClassVar[tuple[str, ...] | None] = None
    PALETTE: ClassVar[list | None] = None

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        stated = {"classes": cls.CLASSES, "palette": cls.PALETTE}
        stated = {key: value for key, value in stated.items() if value is not None}
        return super()._load_metainfo({**stated, **(metainfo or {})})


def build_dataset(cfg: dict) -> Any:
    """Build a data set from its config, also where no runner has set the scope."""
    with DefaultScope.overwrite_default_scope(SCOPE):
        return DATASETS.build(cfg)


__all__ = ["DATASETS", "PIPELINES", "TRANSFORMS", "CustomDataset", "build_dataset"]
