"""Pascal VOC 2012 and Pascal Context."""

from mmseg.datasets.ade import PALETTE as ADE_PALETTE
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS

CONTEXT_CLASSES = """
background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle,
building, bus, cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog,
door, fence, floor, flower, food, grass, ground, horse, keyboard, light, motorbike,
mountain, mouse, person, plate, platform, pottedplant, road, rock, sheep, shelves, sidewalk,
sign, sky, snow, sofa, table, track, train, tree, truck, tvmonitor, wall, water, window,
wood
"""


@DATASETS.register_module()
class PascalVOCDataset(BaseSegDataset):
    """VOC 2012: 21 classes with background (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/).

    255 marks the borders of objects, which are ignored.
    """

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
        "VOCtrainval_11-May-2012.tar, unpacked; tools/convert_datasets/voc_aug.py makes the "
        "SegmentationClassAug masks and trainaug.txt from SBD"
    )


@DATASETS.register_module()
class PascalContextDataset(BaseSegDataset):
    """Pascal Context: 59 classes and background (Mottaghi et al., CVPR 2014).

    Masks hold 0 = background, which is scored, and 1..59. The colours are the first of ADE20K.
    """

    METAINFO = metainfo(CONTEXT_CLASSES, " ".join(ADE_PALETTE.split()[:60]))
    source = (
        "VOCtrainval_03-May-2010.tar, unpacked; tools/convert_datasets/pascal_context.py makes the "
        "masks from the label maps of trainval.tar.gz"
    )


@DATASETS.register_module()
class PascalContextDataset59(PascalContextDataset):
    """59 classes: the same masks, with the background ignored."""

    METAINFO = {key: values[1:] for key, values in PascalContextDataset.METAINFO.items()}
    reduce_zero_label = True
