"""CamVid, the SegNet split: 11 classes of street scenes, 480x360 (Brostow et al. 2009)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """Masks hold 0..10; 255 is void."""

    METAINFO = metainfo(
        "sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist",
        "808080 800000 c0c080 804080 0000c0 808000 c08080 404080 400080 404000 0080c0",
    )
    source = "images in img_dir/{train,val,test}, masks of ids 0-10 in ann_dir/{train,val,test}"
