"""LandCover.ai: Polish orthophotos at 25 and 50 cm (https://arxiv.org/abs/2005.02264)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS


@DATASETS.register_module()
class LandCoverAIDataset(BaseSegDataset):
    """Version 1, five classes; the background is a class that is scored."""

    METAINFO = metainfo(
        "background, building, woodland, water, road", "000000 614a4a 267300 00c5ff cfcfcf"
    )
    group_pattern = r"(.+)_\d+"  # a sheet and the number of the tile in it
    source = "tools/convert_dataset.py landcover makes it from landcover.ai.v1.zip"
