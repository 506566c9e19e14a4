"""Pascal Context, 59 classes and background (Mottaghi et al., CVPR 2014)."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import colours, names
from mmseg.registry import DATASETS

CLASSES = """
background, aeroplane, bag, bed, bedclothes, bench, bicycle, bird, boat, book, bottle, building,
bus, cabinet, car, cat, ceiling, chair, cloth, computer, cow, cup, curtain, dog, door, fence,
floor, flower, food, grass, ground, horse, keyboard, light, motorbike, mountain, mouse, person,
plate, platform, pottedplant, road, rock, sheep, shelves, sidewalk, sign, sky, snow, sofa, table,
track, train, tree, truck, tvmonitor, wall, water, window, wood
"""
PALETTE = """
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846
08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc
ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14
ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff
ff4700 00ebff 00adff 1f00ff
"""


@DATASETS.register_module()
class PascalContextDataset(BaseSegDataset):
    """60 classes; masks hold 0 = background, which is scored, and 1..59."""

    METAINFO = {"classes": names(CLASSES), "palette": colours(PALETTE)}
    source = (
        "VOCtrainval_03-May-2010.tar, unpacked; tools/convert_datasets/pascal_context.py makes the "
        "masks from the label maps of trainval.tar.gz"
    )


@DATASETS.register_module()
class PascalContextDataset59(PascalContextDataset):
    """59 classes: the same masks, with the background ignored."""

    METAINFO = {"classes": names(CLASSES)[1:], "palette": colours(PALETTE)[1:]}
    reduce_zero_label = True
