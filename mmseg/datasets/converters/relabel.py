"""Cityscapes and COCO-Stuff: masks in the ids of their publishers to masks in train ids."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from mmseg.datasets.converters import common
from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX, read_mask

# Label ids 0..33 of Cityscapes; those that are not here are ignored.
CITYSCAPES = {
    **{7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11},
    **{25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18},
}
CITYSCAPES_IDS = 34
# COCO-Stuff counts 182 classes from 0, of which these eleven occur in no image.
COCO_STUFF_IDS = 182
COCO_STUFF_UNUSED = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
COCO_STUFF = {
    old: new for new, old in enumerate(sorted(set(range(COCO_STUFF_IDS)) - COCO_STUFF_UNUSED))
}


def convert_cityscapes(root: Path, workers: int = 1) -> int:
    """Write `*_labelTrainIds.png` beside every `*_labelIds.png` below `root/gtFine`.

    Returns the number of masks.
    """
    masks = _find(root / "gtFine", "*_labelIds.png")
    targets = [m.with_name(m.name.replace("_labelIds", "_labelTrainIds")) for m in masks]
    return _relabel_all(masks, targets, CITYSCAPES, CITYSCAPES_IDS, workers)


def convert_coco_stuff(masks_of: Mapping[str, Path], out: Path, workers: int = 1) -> int:
    """Write `out/annotations/<split>/<id>_labelTrainIds.png` for the masks of each split's folder.

    Returns the number of masks.
    """
    masks, targets = [], []
    for split, folder in masks_of.items():
        found = [m for m in _find(folder, "*.png") if not m.stem.endswith("_labelTrainIds")]
        masks += found
        targets += [out / "annotations" / split / f"{m.stem}_labelTrainIds.png" for m in found]
    return _relabel_all(masks, targets, COCO_STUFF, COCO_STUFF_IDS, workers)


def _find(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.rglob(pattern))
    if not found:
        raise UserError(f"{folder}: no mask {pattern} below it; unpack the archive there")
    return found


def _relabel_all(
    masks: list[Path], targets: list[Path], ids: Mapping[int, int], known: int, workers: int
) -> int:
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[list(ids)] = list(ids.values())
    write = partial(_relabel, table=table, known=known)
    common.map_with_progress(write, list(zip(masks, targets, strict=True)), workers)
    return len(masks)


def _relabel(pair: tuple[Path, Path], table: np.ndarray, known: int) -> None:
    source, target = pair
    mask = read_mask(str(source))
    common.count_ids(mask, known, source, IGNORE_INDEX)
    common.write_png(target, table[mask])
