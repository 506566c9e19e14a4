"""Pascal VOC 2012 (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS


@DATASETS.register_module()
class PascalVOCDataset(BaseSegDataset):
    """21 classes with background; 255 marks the borders of objects, which are ignored."""

    METAINFO = metainfo(
        """
        background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable,
        dog, horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
        """,
        """
        000000 800000 008000 808000 000080 800080 008080 808080 400000 c00000 408000 c08000 400080
        c00080 408080 c08080 004000 804000 00c000 80c000 004080
        """,
    )
    source = (
        "VOCtrainval_11-May-2012.tar, unpacked; tools/convert_dataset.py voc_aug makes the "
        "SegmentationClassAug masks and trainaug.txt from SBD"
    )
