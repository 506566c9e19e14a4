"""Pascal Context, 59 classes and background (Mottaghi et al., CVPR 2014)."""

from mmseg.datasets.ade import PALETTE as ADE_PALETTE
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS

CLASSES = """
background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle,
building, bus, cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog,
door, fence, floor, flower, food, grass, ground, horse, keyboard, light, motorbike,
mountain, mouse, person, plate, platform, pottedplant, road, rock, sheep, shelves, sidewalk,
sign, sky, snow, sofa, table, track, train, tree, truck, tvmonitor, wall, water, window,
wood
"""


@DATASETS.register_module()
class PascalContextDataset(BaseSegDataset):
    """60 classes; masks hold 0 = background, which is scored, and 1..59."""

    # The colours are the first of ADE20K.
    METAINFO = metainfo(CLASSES, " ".join(ADE_PALETTE.split()[:60]))
    source = (
        "VOCtrainval_03-May-2010.tar, unpacked; tools/convert_dataset.py pascal_context makes the "
        "masks from the label maps of trainval.tar.gz"
    )


@DATASETS.register_module()
class PascalContextDataset59(PascalContextDataset):
    """59 classes: the same masks, with the background ignored."""

    METAINFO = {key: values[1:] for key, values in PascalContextDataset.METAINFO.items()}
    reduce_zero_label = True
