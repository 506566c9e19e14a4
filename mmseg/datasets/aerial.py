"""Data sets of aerial images."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS


@DATASETS.register_module()
class LandCoverAIDataset(BaseSegDataset):
    """LandCover.ai version 1: 5 classes of Polish orthophotos (https://arxiv.org/abs/2005.02264).

    The background is a class that is scored.
    """

    METAINFO = metainfo(
        "background, building, woodland, water, road", "000000 614a4a 267300 00c5ff cfcfcf"
    )
    source = "tools/convert_datasets/landcover.py makes it from landcover.ai.v1.zip"


@DATASETS.register_module()
class LoveDADataset(BaseSegDataset):
    """LoveDA: 7 classes of urban and rural land cover (https://arxiv.org/abs/2110.08733).

    Masks hold 0 = no data, which is ignored, and 1..7.
    """

    METAINFO = metainfo(
        "background, building, road, water, barren, forest, agricultural",
        "ffffff ff0000 ffff00 0000ff 9f81b7 00ff00 ffc380",
    )
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_datasets/loveda.py sorts the files of Train.zip and Val.zip"


@DATASETS.register_module()
class iSAIDDataset(BaseSegDataset):
    """iSAID: 15 kinds of objects (https://arxiv.org/abs/1905.12886).

    Masks hold 0 = background, which is scored, and 1..15.
    """

    METAINFO = metainfo(
        """
        background, ship, store_tank, baseball_diamond, tennis_court, basketball_court,
        Ground_Track_Field, Bridge, Large_Vehicle, Small_Vehicle, Helicopter, Swimming_pool,
        Roundabout, Soccer_ball_field, plane, Harbor
        """,
        """
        000000 00003f 003f3f 003f00 003f7f 003fbf 003fff 007f3f 007f7f 00007f 0000bf 0000ff 00bf7f
        007fbf 007fff 00649b
        """,
    )
    img_suffix = ".png"
    seg_map_suffix = "_instance_color_RGB.png"
    source = "tools/convert_datasets/isaid.py cuts its images and masks into tiles"
