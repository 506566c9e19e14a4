"""Potsdam and Vaihingen of the ISPRS benchmark: aerial images of 5 and 9 cm, six classes.

https://www.isprs.org/education/benchmarks/UrbanSemLab/
"""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.classes import metainfo
from mmseg.registry import DATASETS

# As the labels of the benchmark colour them.
CLASSES = metainfo(
    "impervious_surface, building, low_vegetation, tree, car, clutter",
    "ffffff 0000ff 00ffff 00ff00 ffff00 ff0000",
)


@DATASETS.register_module()
class PotsdamDataset(BaseSegDataset):
    """Masks hold 0 = the rim of an object, which is ignored, and 1..6."""

    METAINFO = CLASSES
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_dataset.py potsdam makes them"


@DATASETS.register_module()
class ISPRSDataset(BaseSegDataset):
    """Vaihingen, near infrared, red and green. Masks are as those of Potsdam."""

    METAINFO = CLASSES
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_dataset.py vaihingen makes them"
