"""LoveDA, 7 classes of urban and rural land cover (https://arxiv.org/abs/2110.08733)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS


@DATASETS.register_module()
class LoveDADataset(BaseSegDataset):
    """Masks hold 0 = no data, which is ignored, and 1..7."""

    METAINFO = metainfo(
        "background, building, road, water, barren, forest, agricultural",
        "ffffff ff0000 ffff00 0000ff 9f81b7 00ff00 ffc380",
    )
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_dataset.py loveda sorts the files of Train.zip and Val.zip"
