"""CamVid, the SegNet split: 11 classes of street scenes, 480x360 (Brostow et al. 2009)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """Masks hold 0..10; 255 is void."""

    METAINFO = {
        "classes": (
            *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car"),
            *("pedestrian", "bicyclist"),
        ),
        "palette": [
            *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192)),
            *((128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0)),
            (0, 128, 192),
        ],
    }
    source = "images in img_dir/{train,val,test}, masks of ids 0-10 in ann_dir/{train,val,test}"
