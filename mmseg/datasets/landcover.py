"""LandCover.ai: Polish orthophotos at 25 and 50 cm (https://arxiv.org/abs/2005.02264)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class LandCoverAIDataset(BaseSegDataset):
    """Version 1, five classes; the background is a class that is scored."""

    METAINFO = {
        "classes": ("background", "building", "woodland", "water", "road"),
        "palette": [(0, 0, 0), (97, 74, 74), (38, 115, 0), (0, 197, 255), (207, 207, 207)],
    }
    source = "tools/convert_datasets/landcover.py makes it from landcover.ai.v1.zip"
