"""Images with masks to tiles of one kind: img_dir/<split>/<tile> and ann_dir/<split>/<tile>.

Names, splits and ids are those of MMSegmentation.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmengine.logging import MMLogger

from mmseg.datasets.converters import common
from mmseg.datasets.known import LandCoverAIDataset, LoveDADataset, PotsdamDataset, iSAIDDataset
from mmseg.errors import UserError
from mmseg.files import write_whole
from mmseg.imagery import read_image
from mmseg.imagery.mask import IGNORE_INDEX, check_size, read_mask, to_train_ids
from mmseg.imagery.pictures import write_id_png

# 0 is the rim of an object, which is ignored.
ISPRS_PALETTE = [(0, 0, 0), *PotsdamDataset.METAINFO["palette"]]
LOVEDA_FILES = r"(Train|Val)/(?:[^/]+/)*{}/([^/]+)\.png"  # Rural and Urban


class Layout(NamedTuple):
    """How a data set is packed, coded and cut.

    `image` and `mask` are patterns of `common.find`, which give the name of an area, perhaps after
    its split. If `train` names areas, all others are of the split val. The ids of a mask are the
    places of its colours in `palette`, or else its values, which are below `classes`.

    Without `tile`, an image is kept whole. Tiles share `overlap` pixels; with `train`, those of val
    do so only at the border, so nearly every pixel is scored once. The last tile of a row or column
    ends at the border, and a smaller image is padded with black and `ignored`. With `whole_only`,
    tiles that would reach over the border are counted and dropped.
    """

    image: str = ""
    mask: str = ""
    classes: int = 0
    archives: tuple[str, ...] = ()
    palette: Sequence[tuple[int, int, int]] = ()
    tolerated: float = 0  # share of pixels with colours of no class
    train: frozenset[str] = frozenset()
    tile: int | None = None
    overlap: int = 0
    whole_only: bool = False
    ignored: int = IGNORE_INDEX
    name: str = "{area}"
    suffix: str = ".png"
    mask_suffix: str = ".png"


ISPRS = Layout(
    palette=ISPRS_PALETTE,
    tolerated=0.01,
    tile=512,
    overlap=256,
    ignored=0,
    name="{area}_{left}_{top}_{right}_{bottom}",
)
LANDCOVER = Layout(
    image=r"images/([^/]+)\.tif",
    mask=r"masks/([^/]+)\.tif",
    classes=len(LandCoverAIDataset.METAINFO["classes"]),
    tile=512,
    whole_only=True,
    name="{area}_{number}",
)
LAYOUTS = {
    "isaid": Layout(
        image=r"(train|val)/images/(?:[^/]+/)*([^/]+)\.png",
        mask=r"(train|val)/Semantic_masks/(?:[^/]+/)*([^/]+)_instance_color_RGB\.png",
        palette=iSAIDDataset.METAINFO["palette"],
        tile=896,
        overlap=384,
        name="{area}_{top}_{bottom}_{left}_{right}",
        mask_suffix=iSAIDDataset.seg_map_suffix,
    ),
    "loveda": Layout(
        image=LOVEDA_FILES.format("images_png"),
        mask=LOVEDA_FILES.format("masks_png"),
        classes=len(LoveDADataset.METAINFO["classes"]) + 1,
        archives=("Train.zip", "Val.zip"),
    ),
    "potsdam": ISPRS._replace(
        image=r"top_potsdam_(\d+_\d+)_RGB\.tif",
        mask=r"top_potsdam_(\d+_\d+)_label_noBoundary\.tif",
        archives=("2_Ortho_RGB.zip", "5_Labels_all_noBoundary.zip"),
        train=frozenset(
            f"{row}_{column}" for row in range(2, 8) for column in range(7 if row > 5 else 10, 13)
        ),
    ),
    "vaihingen": ISPRS._replace(
        image=r"top/top_mosaic_09cm_(area\d+)\.tif",
        mask=r"top_mosaic_09cm_(area\d+)_noBoundary\.tif",
        archives=(
            "ISPRS_semantic_labeling_Vaihingen.zip",
            "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip",
        ),
        train=frozenset(
            f"area{n}" for n in (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)
        ),
    ),
}


def convert_tiled(
    name: str,
    source: Path,
    out: Path,
    workers: int = 1,
    tile: int | None = None,
    overlap: int | None = None,
) -> int:
    """Cut the images of `name`, a key of `LAYOUTS`, in `source`; returns the number of tiles.

    `source` holds the archives, or what was in them. `tile` and `overlap` replace those of the
    layout.
    """
    layout, given = LAYOUTS[name], {"tile": tile, "overlap": overlap}
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    layout = layout._replace(**changes)
    if layout.tile is not None and not 0 <= layout.overlap < layout.tile:
        sizes = f"overlap {layout.overlap} of tiles of {layout.tile}"
        raise UserError(f"{sizes}: give 0 or more and less than a tile")
    with common.unpacked(source, out, layout.archives) as root:
        return len(cut_all(root, out, layout, workers))


def cut_all(root: Path, out: Path, layout: Layout, workers: int) -> dict[str, np.ndarray]:
    """Cut all images below `root`; return the int64 (classes,) pixel counts of each tile."""
    pairs = common.find_pairs(root, layout.image, layout.mask)
    splits = {key.rpartition("/")[0] for key, *_ in pairs}
    if splits != {""} and len(splits) < 2:
        raise UserError(f"{root}: images of {min(splits)} only; get the other split too")
    found = common.map_with_progress(partial(_cut, layout, out), pairs, workers)
    if unknown := sum(count for _, count in found):
        MMLogger.get_current_instance().warning(
            f"{unknown} pixels of the masks have colours of no class; they are ignored"
        )
    return {name: counts for tiles, _ in found for name, counts in tiles.items()}


def _cut(
    layout: Layout, out: Path, pair: tuple[str, Path, Path]
) -> tuple[dict[str, np.ndarray], int]:
    """Write the tiles of one image; return their counts and the number of unknown colours."""
    key, path, mask_path = pair
    split, _, area = key.rpartition("/")
    if layout.train:
        split = "train" if area in layout.train else "val"
    image = read_image(path)
    values = read_image(mask_path) if layout.palette else read_mask(mask_path)
    check_size(mask_path, values.shape[:2], path, image.shape[:2])
    ids, unknown = colours_to_ids(values, layout, mask_path) if layout.palette else (values, 0)
    classes = len(layout.palette) or layout.classes
    ids = to_train_ids(ids, classes, False, mask_path)
    named, tiles = windows(area, split, ids.shape, layout), {}
    missing = [(0, max(0, (layout.tile or 0) - side)) for side in ids.shape]
    ids = np.pad(ids, missing, constant_values=layout.ignored)
    image = np.pad(image, [*missing, (0, 0)])
    # An image that stays whole stays as it is encoded: to encode it again would lose more.
    # OpenCV's JPEGs have quality 95, with which the tiles of LandCover.ai were made.
    keep = layout.tile is None and path.suffix == layout.suffix
    for name, window in named.items():
        labels, pixels = ids[window], image[window]
        data = path.read_bytes() if keep else cv2.imencode(layout.suffix, pixels)[1].tobytes()
        write_whole(out / "img_dir" / split.lower() / f"{name}{layout.suffix}", data)
        write_id_png(out / "ann_dir" / split.lower() / f"{name}{layout.mask_suffix}", labels)
        tiles[str(Path(split, name))] = np.bincount(labels.ravel(), minlength=256)[:classes]
    return tiles, unknown


def windows(
    area: str, split: str, shape: tuple[int, ...], layout: Layout
) -> dict[str, tuple[slice, slice]]:
    """Return the name of each tile, and its rows and columns."""
    if (size := layout.tile) is None:
        return {area: (slice(None), slice(None))}
    step = size - (0 if layout.train and split == "val" else layout.overlap)
    columns, found = -(-shape[1] // size), {}
    for top, left in product(*(starts(side, size, step, layout.whole_only) for side in shape)):
        number = top // size * columns + left // size
        place = {"top": top, "left": left, "bottom": top + size, "right": left + size}
        name = layout.name.format(area=area, number=number, **place)
        found[name] = slice(top, top + size), slice(left, left + size)
    return found


def starts(length: int, size: int, step: int, whole_only: bool) -> list[int]:
    """Return where tiles begin along a side: those inside it, or those that cover it."""
    if whole_only:
        return list(range(0, length - size + 1, step))
    return sorted({max(0, min(x, length - size)) for x in range(0, length, step)})


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
