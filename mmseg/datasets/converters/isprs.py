"""Potsdam and Vaihingen to tiles: img_dir/<split>/<area>_<x0>_<y0>_<x1>_<y1>.png and masks.

Training tiles overlap. Validation tiles do not, but for the last of a row or column, which ends at
the border; so nearly every pixel is scored once. Names, split and ids (0 = rim of an object, then
the classes) are those of MMSegmentation, whose own training tiles do not overlap either.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import MMLogger

from mmseg.datasets.converters import common
from mmseg.datasets.converters.tiles import check_overlap, colours_to_ids, tiles
from mmseg.datasets.converters.untrusted import unpacked
from mmseg.datasets.isprs import CLASSES
from mmseg.errors import UserError
from mmseg.imagery import read_image
from mmseg.imagery.mask import check_size

TILE, OVERLAP = 512, 256
PALETTE = [(0, 0, 0), *CLASSES["palette"]]
# A few pixels of the published masks have colours of no class.
TOLERATED = 0.01


class Layout(NamedTuple):
    """The archives of a data set, how its images and masks are called, and its training areas."""

    archives: tuple[str, str]
    image: str
    mask: str
    train: set[str]


LAYOUTS = {
    "potsdam": Layout(
        ("2_Ortho_RGB.zip", "5_Labels_all_noBoundary.zip"),
        r"top_potsdam_(\d+_\d+)_RGB\.tif$",
        r"top_potsdam_(\d+_\d+)_label_noBoundary\.tif$",
        {f"{row}_{column}" for row in range(2, 8) for column in range(7 if row > 5 else 10, 13)},
    ),
    "vaihingen": Layout(
        (
            "ISPRS_semantic_labeling_Vaihingen.zip",
            "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip",
        ),
        r"top/top_mosaic_09cm_(area\d+)\.tif$",
        r"top_mosaic_09cm_(area\d+)_noBoundary\.tif$",
        {f"area{n}" for n in (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)},
    ),
}


def convert_isprs(
    source: Path, out: Path, name: str, workers: int = 1, tile: int = TILE, overlap: int = OVERLAP
) -> int:
    """Cut the areas of `name`, a key of `LAYOUTS`, in `source`; returns the number of tiles.

    `source` holds the two archives, or what was in them. Areas that are not of the training split
    are of the validation split.
    """
    check_overlap(tile, overlap)
    layout = LAYOUTS[name]
    unfinished = out / ".archives"
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, unfinished, ignore_errors=True)
        archives = [source / each for each in layout.archives if (source / each).is_file()]
        opened = (unpacked(each, unfinished / each.stem, {".tif"}) for each in archives)
        folders = [source, *map(stack.enter_context, opened)]
        paths = [path for folder in folders for path in sorted(folder.rglob("*.tif"))]
        images, masks = (dict(_areas(paths, pattern)) for pattern in layout[1:3])
        bare = images.keys() - masks.keys()
        if not images or bare:
            raise UserError(
                f"{source}: {len(images)} images of {name}, {len(bare)} of them without a mask; "
                f"put {' and '.join(layout.archives)} there"
            )
        cut = partial(_cut, out=out, layout=layout, tile=tile, overlap=overlap)
        areas = [(area, image, masks[area]) for area, image in sorted(images.items())]
        results = common.map_with_progress(cut, areas, workers)
    if unknown := sum(count for _, count in results):
        MMLogger.get_current_instance().warning(
            f"{unknown} pixels of the masks have colours of no class; they are ignored"
        )
    return sum(count for count, _ in results)


def _areas(paths: list[Path], pattern: str) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if found := re.search(pattern, path.as_posix()):
            yield found[1], path


def _cut(
    area: tuple[str, Path, Path], out: Path, layout: Layout, tile: int, overlap: int
) -> tuple[int, int]:
    name, path, mask_path = area
    image = read_image(path)
    ids, unknown = colours_to_ids(read_image(mask_path), PALETTE, mask_path, TOLERATED)
    check_size(mask_path, ids.shape, path, image.shape[:2])
    trains = name in layout.train
    split = "train" if trains else "val"
    cut = [*tiles(image, ids, tile, overlap if trains else 0, ignored=0)]
    for top, left, pixels, labels in cut:
        file = f"{name}_{left}_{top}_{left + tile}_{top + tile}.png"
        common.write_png(out / "ann_dir" / split / file, labels)
        common.write_png(out / "img_dir" / split / file, pixels)
    return len(cut), unknown
