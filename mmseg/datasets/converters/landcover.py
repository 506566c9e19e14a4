"""LandCover.ai (Boguszewski et al., CVPRW 2021) to img_dir/, ann_dir/, splits/, class_pixels.json.

The archive holds orthophotos `images/*.tif`, masks `masks/*.tif` of the same names and the lists
`train.txt`, `val.txt`, `test.txt` of tiles `<sheet>_<k>`. Its `split.py` defines k: tiles of 512 x
512 pixels, row by row, where the partial tiles at the edges are numbered but dropped. That script
is never run; a folder `output/` that it has written is taken instead of the orthophotos.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmseg.datasets.converters import common
from mmseg.datasets.converters.tiled import LANDCOVER, cut_all
from mmseg.datasets.known import LandCoverAIDataset
from mmseg.errors import UserError
from mmseg.files import write_whole

CLASSES = LandCoverAIDataset.METAINFO["classes"]
SPLITS = {"train": 0.70, "val": 0.15, "test": 0.15}  # shares of the official lists
CUT = LANDCOVER._replace(
    image=r"output/([^/]+)\.jpg", mask=r"output/([^/]+)_m\.png", tile=None, name="{area}"
)


def convert_landcover(
    source: Path, out: Path, image_format: str = "jpg", workers: int = 1, tile: int = 512
) -> int:
    """Convert the archive (zip or folder) `source` into the folder `out`.

    Returns the number of tiles. `class_pixels.json` has the pixels per class of every official
    split and of all tiles. The lists are written last: where they are, the tiles are whole.
    """
    with common.unpacked(source, out) as root:
        found = common.find(root, r"(train|val|test)\.txt")
        lists = {s: common.read_ids(found.get(s, root / f"{s}.txt")) for s in SPLITS}
        layout = CUT if common.find(root, CUT.image) else LANDCOVER._replace(tile=tile)
        # A restart writes every tile again: that is quicker than checking the old files.
        pixels = cut_all(root, out, layout._replace(suffix=f".{image_format}"), workers)
    for split, ids in lists.items():
        if missing := set(ids) - set(pixels):
            names = f"{len(missing)} of {len(ids)} ids of {split}.txt, as {min(missing)}"
            raise UserError(f"{source}: no tile for {names}; get it again, without output/")
    totals = {
        split: sum((pixels[i] for i in ids), np.zeros(len(CLASSES), int)).tolist()
        for split, ids in {**lists, "total": list(pixels)}.items()
    }
    if not totals["total"][CLASSES.index("road")]:
        MMLogger.get_current_instance().warning(
            "no mask has a road: this is version 0 of LandCover.ai, or a part of it; "
            "download version 1 to train all five classes"
        )
    by_sheet = split_by_sheet(list(pixels))
    for name, ids in {**lists, **{f"{s}_by_sheet": by_sheet[s] for s in SPLITS}}.items():
        common.write_ids(out / "splits" / f"{name}.txt", ids)
    write_whole(out / "class_pixels.json", (json.dumps(totals) + "\n").encode())
    return len(pixels)


def split_by_sheet(ids: Sequence[str]) -> dict[str, list[str]]:
    """Deal whole map sheets (an id without its `_<k>`) to the splits, about 70/15/15 by tiles.

    The official lists mix neighbouring tiles of a sheet, so a model is tested on land that it has
    nearly seen. These lists do not. The sheets go, largest first, to the split that is filled
    least, so three sheets fill three splits.
    """
    sheets: dict[str, list[str]] = defaultdict(list)
    for tile_id in ids:
        sheets[tile_id.rpartition("_")[0]].append(tile_id)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for sheet in sorted(sheets, key=lambda name: (-len(sheets[name]), name)):
        emptiest = min(SPLITS, key=lambda split: len(splits[split]) / SPLITS[split])
        splits[emptiest] += sheets[sheet]
    return {split: sorted(tiles) for split, tiles in splits.items()}
