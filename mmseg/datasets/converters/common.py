"""What the converters share: lists, images with their masks, and the processes that convert."""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from mmseg.errors import UserError
from mmseg.files import read_text, write_whole
from mmseg.imagery.listing import names_in
from mmseg.imagery.mask import read_mask, to_train_ids

Task = TypeVar("Task")
Result = TypeVar("Result")


def read_ids(path: Path) -> list[str]:
    """Return the ids of a list file, one per line, in the order of the file."""
    if not path.is_file():
        raise UserError(f"{path}: no such list; the archive is incomplete, unpack it again")
    return read_text(path).split()


def write_ids(path: Path, ids: Sequence[str]) -> None:
    write_whole(path, "".join(f"{line}\n" for line in ids).encode())


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a uint8 (H, W) or BGR (H, W, 3) image."""
    write_whole(path, cv2.imencode(".png", image)[1].tobytes())


def find(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the files below a folder whose paths end as a regular expression says, sorted.

    Each is found by the groups of its match, joined by "/". Hidden files do not count.
    """
    found = [re.search(rf"(?:^|/){pattern}$", name) for name in names_in(folder, "")]
    return {"/".join(match.groups()): folder / match.string for match in found if match}


def find_pairs(folder: Path, images: str, masks: str) -> list[tuple[str, Path, Path]]:
    """Return (name, image, mask) of the files that two patterns of `find` give by one name.

    Raises `UserError` if there is none, or if a file has no partner.
    """
    image_of, mask_of = find(folder, images), find(folder, masks)
    for have, want, what in ((image_of, mask_of, "mask"), (mask_of, image_of, "image")):
        if alone := have.keys() - want.keys():
            raise UserError(
                f"{folder}: {len(alone)} of {len(have)} without {what}, as {min(alone)}; unpack "
                "the archives again"
            )
    if not image_of:
        raise UserError(f"{folder}: no image {images} below it; unpack the archives there")
    return [(name, path, mask_of[name]) for name, path in image_of.items()]


def convert_masks(
    pairs: Sequence[tuple[Path, Path]],
    new_ids: Mapping[int, int],
    workers: int,
    read: Callable[[Path], np.ndarray] = read_mask,
) -> int:
    """Write the mask of each (source, target) as PNG with new ids; returns the number of masks.

    `read` returns the (H, W) integers of a source. 255 may stand in a mask too, and stays. Raises
    `UserError` if a source holds another id.
    """
    return len(map_with_progress(partial(_convert_mask, read, new_ids), pairs, workers))


def _convert_mask(
    read: Callable[[Path], np.ndarray], new_ids: Mapping[int, int], pair: tuple[Path, Path]
) -> None:
    source, target = pair
    write_png(target, to_train_ids(read(source), len(new_ids), False, source, new_ids))


def map_with_progress(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> list[Result]:
    """Return [function(task) for task in tasks] from `workers` processes, under a progress bar."""
    console = Console(stderr=True)
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        results = (pool.map if pool else map)(function, tasks)
        return list(track(results, "Converting", total=len(tasks), console=console))
