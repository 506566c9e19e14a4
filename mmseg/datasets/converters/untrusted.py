"""Read archives and MATLAB files, which may be damaged or made to harm."""

import shutil
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.io import loadmat

from mmseg.errors import UserError, reason


@contextmanager
def unpacked(
    source: Path, out: Path, suffixes: Collection[str], archives: Sequence[str] = ()
) -> Iterator[Path]:
    """Yield the folder `source`, or a folder in `out` with what is packed, removed at the end.

    `source` is an archive, or a folder that may hold some `archives`. Members with one of
    `suffixes` are unpacked. None lands outside that folder: zipfile makes files of links, and takes
    roots and ".." out of names. Raises `UserError` for an archive that is absent or not whole,
    and before anything is unpacked if only some of `archives` are there.
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
            _extract(archive, folder / archive.stem, suffixes)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(archive: Path, folder: Path, suffixes: Collection[str]) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if PurePosixPath(n).suffix in suffixes]
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
