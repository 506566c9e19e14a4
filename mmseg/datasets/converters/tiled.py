"""iSAID, Potsdam and Vaihingen to tiles: img_dir/<split>/<tile>.png and masks of ids.

The last tile of a row or column ends at the border. A smaller image is padded with black and with
ignored labels. Names, splits and ids are those of MMSegmentation.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.logging import MMLogger

from mmseg.datasets.converters import common
from mmseg.datasets.converters.untrusted import unpacked
from mmseg.datasets.known import PotsdamDataset, iSAIDDataset
from mmseg.errors import UserError
from mmseg.imagery import read_image
from mmseg.imagery.mask import IGNORE_INDEX, check_size

# 0 is the rim of an object, which is ignored.
ISPRS_PALETTE = [(0, 0, 0), *PotsdamDataset.METAINFO["palette"]]
# A few pixels of the masks of ISPRS have colours of no class.
TOLERATED = 0.01


class Layout(NamedTuple):
    """How a data set is packed and coded.

    `image` and `mask` are patterns of `common.find`, which give the name of an area, of the split
    `train` or, if its name is not in that set, `val`. Without such a set, the name begins with the
    split. Ids are the places of the colours of a mask in `palette`.
    """

    archives: tuple[str, ...]
    image: str
    mask: str
    palette: Sequence[tuple[int, int, int]]
    tile: int
    overlap: int
    name: str = "{area}_{left}_{top}_{right}_{bottom}"
    mask_suffix: str = ".png"
    ignored: int = 0
    tolerated: float = TOLERATED
    train: frozenset[str] = frozenset()


LAYOUTS = {
    "isaid": Layout(
        archives=("train", "val"),
        image=r"(train|val)/images/(?:[^/]+/)*([^/]+)\.png",
        mask=r"(train|val)/Semantic_masks/(?:[^/]+/)*([^/]+)_instance_color_RGB\.png",
        palette=iSAIDDataset.METAINFO["palette"],
        tile=896,
        overlap=384,
        name="{area}_{top}_{bottom}_{left}_{right}",
        mask_suffix=iSAIDDataset.seg_map_suffix,
        ignored=IGNORE_INDEX,
        tolerated=0,
    ),
    "potsdam": Layout(
        archives=("2_Ortho_RGB.zip", "5_Labels_all_noBoundary.zip"),
        image=r"top_potsdam_(\d+_\d+)_RGB\.tif",
        mask=r"top_potsdam_(\d+_\d+)_label_noBoundary\.tif",
        palette=ISPRS_PALETTE,
        tile=512,
        overlap=256,
        train=frozenset(
            f"{row}_{column}" for row in range(2, 8) for column in range(7 if row > 5 else 10, 13)
        ),
    ),
    "vaihingen": Layout(
        archives=(
            "ISPRS_semantic_labeling_Vaihingen.zip",
            "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip",
        ),
        image=r"top/top_mosaic_09cm_(area\d+)\.tif",
        mask=r"top_mosaic_09cm_(area\d+)_noBoundary\.tif",
        palette=ISPRS_PALETTE,
        tile=512,
        overlap=256,
        train=frozenset(
            f"area{n}" for n in (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)
        ),
    ),
}


def convert_tiled(
    source: Path,
    out: Path,
    name: str,
    workers: int = 1,
    tile: int | None = None,
    overlap: int | None = None,
) -> int:
    """Cut the images of `name`, a key of `LAYOUTS`, in `source`; returns the number of tiles.

    `source` holds the archives, or what was in them. Tiles overlap, but those of a validation area
    of ISPRS do so only at the border: nearly every pixel is scored once.
    """
    layout = LAYOUTS[name]
    layout = layout._replace(
        tile=layout.tile if tile is None else tile,
        overlap=layout.overlap if overlap is None else overlap,
    )
    if not 0 <= layout.overlap < layout.tile:
        sizes = f"overlap {layout.overlap} of tiles of {layout.tile}"
        raise UserError(f"{sizes}: give 0 or more and less than a tile")
    with unpacked(source, out, {".tif"}, layout.archives) as root:
        pairs = common.find_pairs(root, layout.image, layout.mask)
        results = common.map_with_progress(partial(_cut, layout, out), pairs, workers)
    if unknown := sum(count for _, count in results):
        MMLogger.get_current_instance().warning(
            f"{unknown} pixels of the masks have colours of no class; they are ignored"
        )
    return sum(count for count, _ in results)


def _cut(layout: Layout, out: Path, pair: tuple[str, Path, Path]) -> tuple[int, int]:
    """Write the tiles of one image; return their number and that of pixels without a class."""
    key, path, mask_path = pair
    split, _, area = key.rpartition("/")
    split = split or ("train" if area in layout.train else "val")
    image = read_image(path)
    ids, unknown = colours_to_ids(read_image(mask_path), layout, mask_path)
    check_size(mask_path, ids.shape, path, image.shape[:2])
    missing = [(0, max(layout.tile - side, 0)) for side in ids.shape]
    image = np.pad(image, [*missing, (0, 0)])
    ids = np.pad(ids, missing, constant_values=layout.ignored)
    overlap = 0 if layout.train and split == "val" else layout.overlap
    tops, lefts = (list(starts(side, layout.tile, overlap)) for side in ids.shape)
    for top, left in ((top, left) for top in tops for left in lefts):
        bottom, right = top + layout.tile, left + layout.tile
        name = layout.name.format(area=area, top=top, left=left, bottom=bottom, right=right)
        ids_path = out / "ann_dir" / split / (name + layout.mask_suffix)
        common.write_png(ids_path, ids[top:bottom, left:right])
        common.write_png(out / "img_dir" / split / f"{name}.png", image[top:bottom, left:right])
    return len(tops) * len(lefts), unknown


def starts(length: int, tile: int, overlap: int) -> Iterator[int]:
    """Yield where tiles begin so that they cover `length`; the last one ends at the border."""
    yield from sorted({min(x, length - tile) for x in range(0, length, tile - overlap)})


def colours_to_ids(colours: np.ndarray, layout: Layout, path: Path) -> tuple[np.ndarray, int]:
    """Turn a BGR mask (H, W, 3) into the places of its colours in the palette, uint8 (H, W).

    Other colours become 0 if they are at most the share `tolerated` of the pixels; their number is
    returned too. Raises `UserError` if they are more.
    """
    bgr = np.array([1, 256, 65536], np.uint32)
    table = np.full(2**24, IGNORE_INDEX, np.uint8)
    table[np.array(layout.palette, np.uint32) @ bgr[::-1]] = range(len(layout.palette))
    ids = table[colours.astype(np.uint32) @ bgr]
    wrong = ids == IGNORE_INDEX
    if wrong.mean() > layout.tolerated:
        shown = bytes(colours[wrong][0, ::-1]).hex()
        raise UserError(f"{path}: the colour #{shown} is no class; is this its mask?")
    ids[wrong] = 0
    return ids, int(wrong.sum())
