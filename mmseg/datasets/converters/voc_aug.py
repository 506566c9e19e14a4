"""Pascal VOC 2012 and SBD (Hariharan et al., ICCV 2011) to one folder of 10,582 training masks.

`VOC2012/SegmentationClassAug/<id>.png` is VOC's own mask, with its border of 255, for the images of
VOC's train list, and SBD's mask, which has no border, for all others.
"""

from pathlib import Path

import numpy as np

from mmseg.datasets.converters import common
from mmseg.datasets.converters.untrusted import read_mat
from mmseg.datasets.pascal import PascalVOCDataset
from mmseg.errors import UserError
from mmseg.imagery.mask import read_mask

NUM_CLASSES = len(PascalVOCDataset.METAINFO["classes"])
TRAINAUG_SIZE = 10_582


def convert_voc_aug(
    devkit: Path, sbd: Path, workers: int = 1, allow_partial: bool = False
) -> list[str]:
    """Write the masks and `ImageSets/Segmentation/trainaug.txt`; return the ids of that list.

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
    masks = {
        i: voc / "SegmentationClass" / f"{i}.png" if i in official else sbd / "cls" / f"{i}.mat"
        for i in ids
    }
    pairs = [(mask, voc / "SegmentationClassAug" / f"{i}.png") for i, mask in masks.items()]
    common.convert_masks(pairs, _read, range(NUM_CLASSES), workers)
    # Last, so the list is there only if all its masks are.
    common.write_ids(lists / "trainaug.txt", ids)
    return ids


def _read(path: Path) -> np.ndarray:
    return _read_mat(path) if path.suffix == ".mat" else read_mask(path)


def _read_mat(path: Path) -> np.ndarray:
    """Return the uint8 (H, W) ids of an SBD file."""
    variables = read_mat(path)
    try:
        mask = variables["GTcls"][0]["Segmentation"][0]
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not an SBD mask (GTcls.Segmentation); get it again") from error
    if mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise UserError(f"{path}: GTcls.Segmentation is {mask.dtype} {mask.shape}; get it again")
    return mask
