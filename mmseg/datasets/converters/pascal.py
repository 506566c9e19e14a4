"""Pascal VOC 2012 with SBD, and Pascal Context, to masks of class ids beside VOC's images."""

from pathlib import Path

import numpy as np

from mmseg.datasets.converters import common
from mmseg.datasets.converters.untrusted import read_mat
from mmseg.datasets.voc import PascalVOCDataset
from mmseg.errors import UserError
from mmseg.imagery.mask import read_mask

NUM_CLASSES = len(PascalVOCDataset.METAINFO["classes"])
TRAINAUG_SIZE = 10_582
NUM_LABELS = 459
# The labels of the 59 frequent classes in alphabetical order; all others are background.
LABELS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105),
    *(113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308),
    *(324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454),
    458,
)


def convert_voc_aug(
    devkit: Path, sbd: Path, workers: int = 1, allow_partial: bool = False
) -> list[str]:
    """Join Pascal VOC 2012 and SBD (Hariharan et al., ICCV 2011) to 10,582 training masks.

    `VOC2012/SegmentationClassAug/<id>.png` is VOC's own mask, with its border of 255, for the
    images of VOC's train list, and SBD's mask, which has no border, for all others. Returns the ids
    of `ImageSets/Segmentation/trainaug.txt`, which is written last.

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
    common.convert_masks(pairs, _read, range(NUM_CLASSES), workers)
    common.write_ids(lists / "trainaug.txt", ids)
    return ids


def _read(path: Path) -> np.ndarray:
    """Return the (H, W) ids of a mask of VOC, a PNG, or of SBD."""
    if path.suffix != ".mat":
        return read_mask(path)
    variables = read_mat(path)
    try:
        mask = variables["GTcls"][0]["Segmentation"][0]
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not an SBD mask (GTcls.Segmentation); get it again") from error
    if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise UserError(f"{path}: GTcls.Segmentation is {mask.dtype} {mask.shape}; get it again")
    return mask


def convert_pascal_context(devkit: Path, labels: Path, workers: int = 1) -> dict[str, int]:
    """Turn the publishers' 459 labels into masks of 0 = background and 1..59.

    Converts `labels/<id>.mat` for the ids of `devkit/VOC2010/ImageSets/Main/{train,val}.txt`, and
    returns the number of masks of each split. The lists are written last.
    """
    voc = devkit / "VOC2010"
    sets, masks = voc / "ImageSets", voc / "SegmentationClassContext"
    lists = {s: common.read_ids(sets / f"Main/{s}.txt") for s in ("train", "val")}
    pairs = [(labels / f"{i}.mat", masks / f"{i}.png") for ids in lists.values() for i in ids]
    ids = [LABELS.index(label) + 1 if label in LABELS else 0 for label in range(NUM_LABELS + 1)]
    common.convert_masks(pairs, _read_label_map, ids, workers)
    for split, listed in lists.items():
        common.write_ids(sets / f"SegmentationContext/{split}.txt", listed)
    return {split: len(listed) for split, listed in lists.items()}


def _read_label_map(path: Path) -> np.ndarray:
    variables = read_mat(path)
    try:
        return np.asarray(variables["LabelMap"]).astype(np.int64)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a label map of Pascal Context; get it again") from error
