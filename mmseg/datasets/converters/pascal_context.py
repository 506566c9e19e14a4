"""Pascal Context: the publishers' 459 labels to masks of 0 = background and 1..59.

`SegmentationClassContext/<id>.png` beside VOC 2010's `JPEGImages`, and the lists of
`ImageSets/SegmentationContext`, which are those of VOC 2010's detection task.
"""

from functools import partial
from pathlib import Path

import numpy as np

from mmseg.datasets.converters import common
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
    lists = {s: common.read_ids(voc / "ImageSets/Main" / f"{s}.txt") for s in ("train", "val")}
    ids = [i for listed in lists.values() for i in listed]
    if absent := [i for i in ids if not (labels / f"{i}.mat").is_file()]:
        raise UserError(
            f"{labels}: {common.name_some(absent, len(ids))} without labels; unpack trainval.tar.gz"
        )
    write = partial(_write_mask, out=voc / "SegmentationClassContext")
    common.map_with_progress(write, [labels / f"{i}.mat" for i in ids], workers)
    for split, listed in lists.items():
        common.write_ids(voc / "ImageSets/SegmentationContext" / f"{split}.txt", listed)
    return {split: len(listed) for split, listed in lists.items()}


def _write_mask(source: Path, out: Path) -> None:
    variables = read_mat(source)
    try:
        values = np.asarray(variables["LabelMap"]).astype(np.int64)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{source}: not a label map of Pascal Context; get it again") from error
    if np.min(values) < 0 or np.max(values) > NUM_LABELS:
        raise UserError(f"{source}: labels outside 0..{NUM_LABELS}; is this its label map?")
    table = np.zeros(NUM_LABELS + 1, np.uint8)
    table[list(LABELS)] = np.arange(1, len(LABELS) + 1)
    common.write_png(out / f"{source.stem}.png", table[values])
