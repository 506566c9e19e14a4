"""iSAID, 15 kinds of objects in aerial images (https://arxiv.org/abs/1905.12886)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS


@DATASETS.register_module()
class iSAIDDataset(BaseSegDataset):
    """Masks hold 0 = background, which is scored, and 1..15."""

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
    source = "tools/convert_dataset.py isaid cuts its images and masks into tiles"
