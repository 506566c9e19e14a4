"""Pascal Context: the publishers' 459 labels to masks of 0 = background and 1..59.

`SegmentationClassContext/<id>.png` beside VOC 2010's `JPEGImages`, and the lists of
`ImageSets/SegmentationContext`, which are those of VOC 2010's detection task.
"""

from pathlib import Path

import numpy as np

from mmseg.datasets.converters.common import convert_masks, read_ids, write_ids
from mmseg.datasets.converters.untrusted import read_mat
from mmseg.errors import UserError

NUM_LABELS = 459
# The labels of the 59 frequent classes in alphabetical order; all others are background.
LABELS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105),
    *(113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308),
    *(324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454),
    458,
)


def convert_pascal_context(devkit: Path, labels: Path, workers: int = 1) -> dict[str, int]:
    """Convert `labels/<id>.mat` for the ids of `devkit/VOC2010/ImageSets/Main/{train,val}.txt`.

    Returns the number of masks of each split. The lists are written last.
    """
    voc = devkit / "VOC2010"
    lists = {s: read_ids(voc / "ImageSets/Main" / f"{s}.txt") for s in ("train", "val")}
    masks = voc / "SegmentationClassContext"
    pairs = [(labels / f"{i}.mat", masks / f"{i}.png") for ids in lists.values() for i in ids]
    ids = [LABELS.index(label) + 1 if label in LABELS else 0 for label in range(NUM_LABELS + 1)]
    convert_masks(pairs, _read_labels, ids, workers)
    for split, listed in lists.items():
        write_ids(voc / "ImageSets/SegmentationContext" / f"{split}.txt", listed)
    return {split: len(listed) for split, listed in lists.items()}


def _read_labels(path: Path) -> np.ndarray:
    """Return the (H, W) labels of a file of Pascal Context."""
    variables = read_mat(path)
    try:
        return np.asarray(variables["LabelMap"]).astype(np.int64)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a label map of Pascal Context; get it again") from error
