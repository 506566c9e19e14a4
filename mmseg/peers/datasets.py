"""The names by which code for MMSegmentation 0.x writes and registers data sets."""

from collections.abc import Mapping
from typing import ClassVar

from mmseg.datasets.base import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS

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
