"""What the converters share: lists of ids, masks, and the processes that convert."""

from collections.abc import Callable, Collection, Sequence
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
from mmseg.imagery.mask import IGNORE_INDEX

Task = TypeVar("Task")
Result = TypeVar("Result")


def read_ids(path: Path) -> list[str]:
    """Return the ids of a list file, one per line, in the order of the file."""
    if not path.is_file():
        raise UserError(f"{path}: no such list; the archive is incomplete, unpack it again")
    return read_text(path).split()


def find(folder: Path, pattern: str) -> list[Path]:
    """Return the files that a glob finds, sorted, without the "._" files that macOS adds."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("._"))


def write_ids(path: Path, ids: Sequence[str]) -> None:
    write_whole(path, "".join(f"{line}\n" for line in ids).encode())


def name_some(ids: Collection[str], total: int) -> str:
    """Return a count and at most five of the ids, as in "3 of 40 (a, b, c)"."""
    names = ", ".join(sorted(ids)[:5])
    return f"{len(ids)} of {total} ({names}{', ...' if len(ids) > 5 else ''})"


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a uint8 (H, W) or BGR (H, W, 3) image."""
    write_whole(path, cv2.imencode(".png", image)[1].tobytes())


def count_ids(
    mask: np.ndarray, num_classes: int, path: Path, ignore_index: int | None = None
) -> np.ndarray:
    """Return the int64 (num_classes,) pixel counts of a mask of integers read from `path`.

    Raises `UserError` that names the ids which are neither a class nor `ignore_index`.
    """
    # Not bincount at first: it would count gigabytes up to a 32-bit value.
    present = np.unique(mask).astype(np.int64)
    unknown = present[((present < 0) | (present >= num_classes)) & (present != ignore_index)]
    if unknown.size:
        shown = f"{unknown[:5].tolist()}{' and more' if unknown.size > 5 else ''}"
        raise UserError(f"{path}: ids {shown} are outside 0..{num_classes - 1}; is this its mask?")
    return np.bincount(mask.ravel(), minlength=num_classes)[:num_classes]


def convert_masks(
    pairs: Sequence[tuple[Path, Path]],
    read: Callable[[Path], np.ndarray],
    new_ids: Sequence[int],
    workers: int,
) -> None:
    """Write the mask of each (source, target) as PNG, where `new_ids[k]` replaces the id k.

    `read` returns the (H, W) integers of a source. 255 may stand in a mask too, and stays. Raises
    `UserError` if a source is missing, before anything is written, or if it holds another id.
    """
    if absent := [source for source, _ in pairs if not source.is_file()]:
        names = name_some([source.stem for source in absent], len(pairs))
        raise UserError(f"{absent[0].parent}: {names} without a mask; unpack the archives again")
    table = np.full(max(len(new_ids), IGNORE_INDEX + 1), IGNORE_INDEX, np.uint8)
    table[: len(new_ids)] = new_ids
    write = partial(_convert_mask, read=read, known=len(new_ids), table=table)
    map_with_progress(write, pairs, workers)


def _convert_mask(
    pair: tuple[Path, Path], read: Callable[[Path], np.ndarray], known: int, table: np.ndarray
) -> None:
    source, target = pair
    mask = read(source)
    count_ids(mask, known, source, IGNORE_INDEX)
    write_png(target, table[mask.astype(np.uint16)])


def map_with_progress(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int
) -> list[Result]:
    """Return [function(task) for task in tasks] from `workers` processes, under a progress bar."""
    console = Console(stderr=True)
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        results = (pool.map if pool else map)(function, tasks)
        return list(track(results, "Converting", total=len(tasks), console=console))
