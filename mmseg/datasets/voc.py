"""Pascal VOC 2012 (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class PascalVOCDataset(BaseSegDataset):
    """21 classes with background; 255 marks the borders of objects, which are ignored."""

    METAINFO = {
        "classes": (
            *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
            *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
            *("sheep", "sofa", "train", "tvmonitor"),
        ),
        "palette": [
            *((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)),
            *((0, 128, 128), (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0)),
            *((192, 128, 0), (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128)),
            *((0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128)),
        ],
    }
    source = (
        "VOCtrainval_11-May-2012.tar, unpacked; tools/convert_datasets/voc_aug.py makes the "
        "SegmentationClassAug masks and trainaug.txt from SBD"
    )
