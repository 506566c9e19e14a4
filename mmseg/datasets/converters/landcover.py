"""LandCover.ai (Boguszewski et al., CVPRW 2021) to img_dir/, ann_dir/, splits/, class_pixels.json.

The archive holds orthophotos `images/*.tif`, masks `masks/*.tif` of the same names and the lists
`train.txt`, `val.txt`, `test.txt` of tiles `<sheet>_<k>`. Its `split.py` defines k: tiles of 512 x
512 pixels, row by row, where the partial tiles at the edges are numbered but dropped. That script
is never run; a folder `output/` that it has written is accepted.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.logging import MMLogger

from mmseg.datasets.converters import common
from mmseg.datasets.converters.untrusted import unpacked
from mmseg.datasets.landcover import LandCoverAIDataset
from mmseg.errors import UserError
from mmseg.files import write_whole
from mmseg.imagery import read_image
from mmseg.imagery.mask import check_size, read_mask, single_channel
from mmseg.imagery.tiles import full_tiles, iter_full_tiles, raster_shape

CLASSES = LandCoverAIDataset.METAINFO["classes"]
SPLITS = {"train": 0.70, "val": 0.15, "test": 0.15}  # shares of the official lists


class Pair(NamedTuple):
    """An orthophoto or a cut tile, its mask, and the ids of the tiles they hold."""

    image: Path
    mask: Path
    ids: list[str]


def convert_landcover(
    source: Path, out: Path, image_format: str = "jpg", workers: int = 1, tile_size: int = 512
) -> dict[str, list[int]]:
    """Convert the archive (zip or folder) `source` into the folder `out`.

    Returns the pixels per class of every official split and of all tiles, as written to
    `class_pixels.json`. The lists are written last: where they are, the tiles are whole.
    """
    is_folder, suffixes = source.is_dir(), {".tif", ".txt", ".jpg", ".png"}
    with nullcontext(source) if is_folder else unpacked(source, out, suffixes) as root:
        wrapped = sorted(root.glob("*/train.txt"))  # the archive packed as one folder
        if wrapped and not (root / "train.txt").is_file():
            root = wrapped[0].parent
        lists = {split: common.read_ids(root / f"{split}.txt") for split in SPLITS}
        pairs = find_pairs(root, lists, tile_size)
        # A restart writes every tile again: that is quicker than checking the old files.
        convert = partial(_convert_pair, out=out, suffix=f".{image_format}", tile_size=tile_size)
        counts = common.map_with_progress(convert, pairs, workers)
    pixels = {tile_id: count for part in counts for tile_id, count in part.items()}
    none = np.zeros(len(CLASSES), np.int64)
    totals = {
        split: sum((pixels[i] for i in ids), none).tolist()
        for split, ids in {**lists, "total": list(pixels)}.items()
    }
    if not totals["total"][CLASSES.index("road")]:
        MMLogger.get_current_instance().warning(
            "no mask has a road: this is version 0 of LandCover.ai, or a part of it; "
            "download version 1 to train all five classes"
        )
    by_sheet = split_by_sheet(list(pixels))
    for split in SPLITS:
        common.write_ids(out / "splits" / f"{split}.txt", lists[split])
        common.write_ids(out / "splits" / f"{split}_by_sheet.txt", by_sheet[split])
    write_whole(out / "class_pixels.json", (json.dumps(totals) + "\n").encode())
    return totals


def find_pairs(root: Path, lists: Mapping[str, Sequence[str]], tile_size: int) -> list[Pair]:
    """Return the orthophotos, or the cut tiles of `output/` if the orthophotos lack a listed tile.

    Orthophotos come first because they are lossless. Raises `UserError` if neither has all tiles.
    """
    tiles = _match(root / "output", ".jpg", root / "output", "_m.png")
    cut = [Pair(image, mask, [name]) for name, image, mask in tiles]
    sources = {"images": _raster_pairs(root, tile_size), "output": cut}
    problem = ""
    for folder, pairs in sources.items():
        ids = {tile_id for pair in pairs for tile_id in pair.ids}
        missing = {split: set(listed) - ids for split, listed in lists.items()}
        lacks = "; ".join(
            f"{split}.txt {common.name_some(absent, len(lists[split]))}"
            for split, absent in missing.items()
            if absent
        )
        if pairs and not lacks:
            if problem:
                logger = MMLogger.get_current_instance()
                logger.warning(f"{problem}; output/ has them all and is taken")
            return pairs
        if pairs:
            problem = problem or f"{root / folder}: no tile for listed ids: {lacks}"
    problem = problem or f"{root}: neither images/*.tif nor output/*.jpg in it"
    raise UserError(f"{problem}; complete the archive or mend its lists")


def _raster_pairs(root: Path, tile_size: int) -> list[Pair]:
    pairs = []
    for name, image, mask in _match(root / "images", ".tif", root / "masks", ".tif"):
        height, width, bands = raster_shape(image)
        if bands != 3:
            raise UserError(f"{image}: has {bands} bands, an orthophoto has 3; keep red-green-blue")
        check_size(mask, raster_shape(mask)[:2], image, (height, width))
        ids = [f"{name}_{k}" for k in full_tiles(height, width, tile_size)]
        pairs.append(Pair(image, mask, ids))
    return pairs


def _match(
    images: Path, image_end: str, masks: Path, mask_end: str
) -> list[tuple[str, Path, Path]]:
    """Return (name, image, mask) sorted by name; a file without its partner is a `UserError`."""
    image_of = {p.name.removesuffix(image_end): p for p in common.find(images, f"*{image_end}")}
    mask_of = {p.name.removesuffix(mask_end): p for p in common.find(masks, f"*{mask_end}")}
    for have, want, what in ((image_of, mask_of, "mask"), (mask_of, image_of, "image")):
        if alone := have.keys() - want.keys():
            folder = next(iter(have.values())).parent
            raise UserError(
                f"{folder}: {common.name_some(alone, len(have))} without {what}; add the files"
            )
    return [(name, image_of[name], mask_of[name]) for name in sorted(image_of)]


def _convert_pair(pair: Pair, out: Path, suffix: str, tile_size: int) -> dict[str, np.ndarray]:
    """Write the tiles of one pair; return the int64 (5,) pixel counts of each tile id."""
    pixels = {}
    for tile_id, image, mask in _read_tiles(pair, tile_size):
        pixels[tile_id] = common.count_ids(mask, len(CLASSES), pair.mask)
        # A cut tile stays the official JPEG: encoding it again would lose more. OpenCV's quality is
        # 95, with which the official tiles were made.
        keep = pair.image.suffix == suffix
        data = pair.image.read_bytes() if keep else cv2.imencode(suffix, image)[1].tobytes()
        write_whole(out / "img_dir" / f"{tile_id}{suffix}", data)
        common.write_png(out / "ann_dir" / f"{tile_id}.png", mask)
    return pixels


def _read_tiles(pair: Pair, tile_size: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    if pair.image.suffix != ".tif":
        image, mask = read_image(pair.image), read_mask(pair.mask)
        check_size(pair.mask, mask.shape, pair.image, image.shape[:2])
        yield pair.ids[0], image, mask
        return
    images, masks = iter_full_tiles(pair.image, tile_size), iter_full_tiles(pair.mask, tile_size)
    for tile_id, (_, image), (_, mask) in zip(pair.ids, images, masks, strict=True):
        yield tile_id, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), single_channel(mask, pair.mask)


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
