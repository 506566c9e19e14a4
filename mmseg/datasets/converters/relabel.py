"""Masks in the ids of their publishers to masks in the ids of our data sets."""

from pathlib import Path

import numpy as np

from mmseg.datasets.converters import common
from mmseg.datasets.known import PascalVOCDataset
from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX, read_mask

# The classes of Cityscapes in the order of their train ids. Of the ids 0..33, all others are
# ignored.
CITYSCAPES_CLASSES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES_IDS = 34
# COCO-Stuff counts 182 classes from 0. These eleven occur in no image.
COCO_STUFF_IDS = 182
COCO_STUFF_UNUSED = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
COCO_STUFF_CLASSES = tuple(sorted(set(range(COCO_STUFF_IDS)) - COCO_STUFF_UNUSED))
VOC_CLASSES = len(PascalVOCDataset.METAINFO["classes"])
TRAINAUG_SIZE = 10_582
ALL_CONTEXT_LABELS = 459
# Of the labels of Pascal Context these are frequent. The others are background.
CONTEXT_LABELS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105),
    *(113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308),
    *(324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454),
    458,
)


def convert_cityscapes(root: Path, workers: int = 1) -> int:
    """Write `*_labelTrainIds.png` beside every `*_labelIds.png` below `root/gtFine`.

    Returns the number of masks.
    """
    masks = common.find(root / "gtFine", r"([^/]*)_labelIds\.png").values()
    pairs = [(m, m.with_name(m.name.replace("_labelIds", "_labelTrainIds"))) for m in masks]
    if not pairs:
        raise UserError(f"{root}/gtFine: no mask *_labelIds.png below it; unpack the archive there")
    return common.convert_masks(pairs, _train_ids(CITYSCAPES_CLASSES, CITYSCAPES_IDS), workers)


def convert_coco_stuff(masks: Path, out: Path, workers: int = 1) -> int:
    """Write `out/annotations/<split>/<id>_labelTrainIds.png` for `masks/<split>/<id>.png`.

    Returns the number of masks.
    """
    found, target = common.find(masks, r"(train2017|val2017)/(\d+)\.png"), out / "annotations"
    pairs = [(mask, target / f"{key}_labelTrainIds.png") for key, mask in found.items()]
    if len({key.partition("/")[0] for key in found}) < 2:
        raise UserError(
            f"{masks}: no masks <id>.png in train2017/ and in val2017/; unpack it there"
        )
    return common.convert_masks(pairs, _train_ids(COCO_STUFF_CLASSES, COCO_STUFF_IDS), workers)


def _train_ids(classes: tuple[int, ...], count: int) -> dict[int, int]:
    return {i: classes.index(i) if i in classes else IGNORE_INDEX for i in range(count)}


def convert_voc_aug(devkit: Path, sbd: Path, workers: int = 1, allow_partial: bool = False) -> int:
    """Join Pascal VOC 2012 and SBD (Hariharan et al., ICCV 2011) to 10,582 training masks.

    `VOC2012/SegmentationClassAug/<id>.png` is VOC's own mask, with its border of 255, for the
    images of VOC's train list, and SBD's mask, which has no border, for all others. Their ids are
    written last, to `ImageSets/Segmentation/trainaug.txt`. Returns the number of masks.

    `devkit` holds `VOC2012/`; `sbd` holds `dataset/` with `cls/*.mat`, `train.txt` and `val.txt`.
    Raises `UserError` when the lists do not give 10,582 ids, unless `allow_partial`.
    """
    voc, sbd = devkit / "VOC2012", sbd / "dataset"
    lists = voc / "ImageSets" / "Segmentation"
    official = set(common.read_ids(lists / "train.txt"))
    augmented = {*common.read_ids(sbd / "train.txt"), *common.read_ids(sbd / "val.txt")}
    ids = sorted((official | augmented) - set(common.read_ids(lists / "val.txt")))
    if len(ids) != TRAINAUG_SIZE and not allow_partial:
        raise UserError(
            f"{lists}, {sbd}: the lists give {len(ids)} training ids, not {TRAINAUG_SIZE}; "
            "get the archives again, or pass --allow-partial to convert a part"
        )
    masks = [
        voc / f"SegmentationClass/{i}.png" if i in official else sbd / f"cls/{i}.mat" for i in ids
    ]
    pairs = [(mask, voc / f"SegmentationClassAug/{mask.stem}.png") for mask in masks]
    common.convert_masks(pairs, {i: i for i in range(VOC_CLASSES)}, workers, _read_voc)
    common.write_ids(lists / "trainaug.txt", ids)
    return len(ids)


def _read_voc(path: Path) -> np.ndarray:
    if path.suffix != ".mat":
        return read_mask(path)
    return common.read_mat(path, lambda variables: variables["GTcls"][0]["Segmentation"][0])


def convert_pascal_context(devkit: Path, labels: Path, workers: int = 1) -> int:
    """Turn the publishers' 459 labels into masks of 0 = background and 1..59.

    Converts `labels/<id>.mat` for the ids of `devkit/VOC2010/ImageSets/Main/{train,val}.txt`, and
    returns the number of masks. The lists are written last.
    """
    voc = devkit / "VOC2010"
    sets, masks = voc / "ImageSets", voc / "SegmentationClassContext"
    lists = {s: common.read_ids(sets / f"Main/{s}.txt") for s in ("train", "val")}
    pairs = [(labels / f"{i}.mat", masks / f"{i}.png") for ids in lists.values() for i in ids]
    new_ids = {i: i for i in range(len(CONTEXT_LABELS) + 1)}
    common.convert_masks(pairs, new_ids, workers, _read_context)
    for split, listed in lists.items():
        common.write_ids(sets / f"SegmentationContext/{split}.txt", listed)
    return len(pairs)


def _read_context(path: Path) -> np.ndarray:
    labels = common.read_mat(path, lambda variables: variables["LabelMap"])
    if labels.min() < 0 or labels.max() > ALL_CONTEXT_LABELS:
        raise UserError(f"{path}: its labels are not 0 to {ALL_CONTEXT_LABELS}; get it again")
    places = np.searchsorted(CONTEXT_LABELS, labels).clip(max=len(CONTEXT_LABELS) - 1)
    return np.where(np.array(CONTEXT_LABELS)[places] == labels, places + 1, 0)
