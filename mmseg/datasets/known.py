"""The data sets that are known by name, and how their files are called.

A file of `tables/` has a line `name,RRGGBB` for each class, in the order of the ids.
"""

from pathlib import Path

from mmseg.datasets.base import BaseSegDataset
from mmseg.files import read_text
from mmseg.registry import DATASETS


def metainfo(name: str) -> dict:
    """Return the classes and the palette of a table."""
    text = read_text(Path(__file__).parent / "tables" / f"{name}.csv")
    classes, colours = zip(*(line.split(",") for line in text.splitlines()), strict=True)
    return {"classes": classes, "palette": [tuple(bytes.fromhex(colour)) for colour in colours]}


@DATASETS.register_module()
class ADE20KDataset(BaseSegDataset):
    """ADE20K SceneParsing: masks hold 0 = other, which is ignored, and 1..150."""

    METAINFO = metainfo("ade20k")
    reduce_zero_label = True
    source = "ADEChallengeData2016.zip of data.csail.mit.edu/places/ADEchallenge, unpacked as it is"


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid, the SegNet split, street scenes of 480x360: masks hold 0..10; 255 is void."""

    METAINFO = metainfo("camvid")
    source = "images in img_dir/{train,val,test}, masks of ids 0-10 in ann_dir/{train,val,test}"


@DATASETS.register_module()
class CityscapesDataset(BaseSegDataset):
    """Street scenes: masks hold the train ids 0..18 and 255."""

    METAINFO = metainfo("cityscapes")
    img_suffix = "_leftImg8bit.png"
    seg_map_suffix = "_gtFine_labelTrainIds.png"
    source = (
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpacked in one folder; then "
        "tools/convert_dataset.py cityscapes writes the train ids"
    )


@DATASETS.register_module()
class COCOStuffDataset(BaseSegDataset):
    """COCO-Stuff 164k (arXiv 1612.03716): masks hold the train ids 0..170 and 255."""

    METAINFO = metainfo("coco_stuff")
    seg_map_suffix = "_labelTrainIds.png"
    source = (
        "train2017.zip, val2017.zip and stuffthingmaps_trainval2017.zip, unpacked; then "
        "tools/convert_dataset.py coco_stuff164k writes the train ids"
    )


@DATASETS.register_module()
class iSAIDDataset(BaseSegDataset):
    """Objects in aerial images (arXiv 1905.12886): 0 = background, which is scored, and 1..15."""

    METAINFO = metainfo("isaid")
    img_suffix = ".png"
    seg_map_suffix = "_instance_color_RGB.png"
    source = "tools/convert_dataset.py isaid cuts its images and masks into tiles"


@DATASETS.register_module()
class PotsdamDataset(BaseSegDataset):
    """ISPRS benchmark: masks hold 0 = the rim of an object, which is ignored, and 1..6."""

    METAINFO = metainfo("isprs")
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_dataset.py potsdam makes them"


@DATASETS.register_module()
class ISPRSDataset(PotsdamDataset):
    """Vaihingen, near infrared, red and green. Masks are as those of Potsdam."""

    source = "tools/convert_dataset.py vaihingen makes them"


@DATASETS.register_module()
class LandCoverAIDataset(BaseSegDataset):
    """Version 1 (arXiv 2005.02264), five classes; the background is a class that is scored."""

    METAINFO = metainfo("landcover")
    group_pattern = r"(.+)_\d+"  # a sheet and the number of the tile in it
    source = "tools/convert_dataset.py landcover makes it from landcover.ai.v1.zip"


@DATASETS.register_module()
class LoveDADataset(BaseSegDataset):
    """LoveDA (arXiv 2110.08733): masks hold 0 = no data, which is ignored, and 1..7."""

    METAINFO = metainfo("loveda")
    img_suffix = ".png"
    reduce_zero_label = True
    source = "tools/convert_dataset.py loveda sorts the files of Train.zip and Val.zip"


@DATASETS.register_module()
class PascalContextDataset(BaseSegDataset):
    """Pascal Context, 60 classes: masks hold 0 = background, which is scored, and 1..59."""

    METAINFO = metainfo("pascal_context")
    source = (
        "VOCtrainval_03-May-2010.tar, unpacked; tools/convert_dataset.py pascal_context makes the "
        "masks from the label maps of trainval.tar.gz"
    )


@DATASETS.register_module()
class PascalContextDataset59(PascalContextDataset):
    """59 classes: the same masks, with the background ignored."""

    METAINFO = {key: values[1:] for key, values in PascalContextDataset.METAINFO.items()}
    reduce_zero_label = True


@DATASETS.register_module()
class PascalVOCDataset(BaseSegDataset):
    """Pascal VOC 2012: 21 classes with background; 255 marks the borders of objects."""

    METAINFO = metainfo("pascal_voc")
    source = (
        "VOCtrainval_11-May-2012.tar, unpacked; tools/convert_dataset.py voc_aug makes the "
        "SegmentationClassAug masks and trainaug.txt from SBD"
    )
