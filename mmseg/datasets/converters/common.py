"""What the converters share: archives, MATLAB files, lists, pairs of files, and processes.

Archives and MATLAB files may be damaged or made to harm.
"""

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.io import loadmat

from mmseg.errors import UserError, reason
from mmseg.files import read_text, write_whole
from mmseg.imagery.listing import names_in
from mmseg.imagery.mask import read_mask, to_train_ids
from mmseg.imagery.pictures import write_id_png

UNPACKED = (".tif", ".png", ".jpg", ".txt")


@contextmanager
def unpacked(source: Path, out: Path, archives: Sequence[str] = ()) -> Iterator[Path]:
    """Yield the folder `source`, or a folder in `out` with what is packed, removed at the end.

    `source` is an archive, or a folder that may hold some `archives`. Only images and lists are
    unpacked. None lands outside that folder: zipfile makes files of links, and takes roots and ".."
    out of names. Raises `UserError` for an archive that is absent or not whole, and before anything
    is unpacked if only some of `archives` are there.
    """
    if not source.exists():
        raise UserError(f"{source}: no such archive or folder; download the data set first")
    packed = [source / name for name in archives if (source / name).is_file()]
    if source.is_dir() and not packed:
        yield source
        return
    if packed and len(packed) < len(archives):
        raise UserError(
            f"{source}: only {packed[0].name} is there; put {', '.join(archives)} there"
        )
    folder = out / ".unpacked"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    try:
        for archive in packed or [source]:
            _extract(archive, folder / archive.stem)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if n.endswith(UNPACKED)]
            # macOS adds a hidden "._a.tif" to each "a.tif".
            wanted = [n for n in names if not PurePosixPath(n).name.startswith("._")]
            opened.extractall(folder, wanted)
    except OSError as error:
        raise UserError(f"{archive}: cannot be unpacked ({error.strerror or error})") from error
    except Exception as error:  # zipfile raises a dozen kinds on broken archives
        raise UserError(
            f"{archive}: not a whole zip archive ({reason(error)}); get it again"
        ) from error


def read_mat(path: Path, pick: Callable[[dict], np.ndarray]) -> np.ndarray:
    """Return the (H, W) integers that `pick` takes from the variables of a MATLAB file.

    A child process reads it, because scipy's compiled reader crashes on some damaged files.
    """
    try:
        with ProcessPoolExecutor(1) as child:
            mask = np.asarray(pick(child.submit(loadmat, str(path)).result()))
    except Exception as error:  # scipy raises many kinds on broken files
        raise UserError(
            f"{path}: not a MATLAB file of this data set ({reason(error)}); get it again"
        ) from error
    if mask.dtype.kind not in "iu" or mask.ndim != 2 or not mask.size:
        raise UserError(f"{path}: the mask is {mask.dtype} {mask.shape}; get it again")
    return mask


def read_ids(path: Path) -> list[str]:
    """Return the ids of a list file, one per line, in the order of the file."""
    if not path.is_file():
        raise UserError(f"{path}: no such list; the archive is incomplete, unpack it again")
    return read_text(path).split()


def write_ids(path: Path, ids: Sequence[str]) -> None:
    write_whole(path, "".join(f"{line}\n" for line in ids).encode())


def find(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the files below a folder whose paths end as a regular expression says, sorted.

    Each is found by the groups of its match, joined by "/". Hidden files do not count.
    """
    found = [re.search(rf"(?:^|/){pattern}$", name) for name in names_in(folder)]
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
    ids = to_train_ids(read(source), len(new_ids), False, source, new_ids)
    write_id_png(target, ids)


def map_with_progress(
    function: Callable[[Any], Any], tasks: Sequence[Any], workers: int
) -> list[Any]:
    """Return [function(task) for task in tasks] from `workers` processes, under a progress bar."""
    console = Console(stderr=True)
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        results = (pool.map if pool else map)(function, tasks)
        return list(track(results, "Converting", total=len(tasks), console=console))
