"""Cityscapes and COCO-Stuff: masks in the ids of their publishers to masks in train ids."""

from collections.abc import Mapping
from pathlib import Path

from mmseg.datasets.converters.common import convert_masks, find
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


def convert_cityscapes(root: Path, workers: int = 1) -> int:
    """Write `*_labelTrainIds.png` beside every `*_labelIds.png` below `root/gtFine`.

    Returns the number of masks.
    """
    masks = _find(root / "gtFine", "*_labelIds.png")
    pairs = [(m, m.with_name(m.name.replace("_labelIds", "_labelTrainIds"))) for m in masks]
    convert_masks(pairs, read_mask, _train_ids(CITYSCAPES_CLASSES, CITYSCAPES_IDS), workers)
    return len(pairs)


def convert_coco_stuff(masks_of: Mapping[str, Path], out: Path, workers: int = 1) -> int:
    """Write `out/annotations/<split>/<id>_labelTrainIds.png` for the masks of each split's folder.

    Returns the number of masks.
    """
    pairs = [
        (mask, out / "annotations" / split / f"{mask.stem}_labelTrainIds.png")
        for split, folder in masks_of.items()
        for mask in _find(folder, "*.png")
        if not mask.stem.endswith("_labelTrainIds")
    ]
    convert_masks(pairs, read_mask, _train_ids(COCO_STUFF_CLASSES, COCO_STUFF_IDS), workers)
    return len(pairs)


def _find(folder: Path, pattern: str) -> list[Path]:
    found = find(folder, f"**/{pattern}")
    if not found:
        raise UserError(f"{folder}: no mask {pattern} below it; unpack the archive there")
    return found


def _train_ids(classes: tuple[int, ...], count: int) -> list[int]:
    return [classes.index(i) if i in classes else IGNORE_INDEX for i in range(count)]
