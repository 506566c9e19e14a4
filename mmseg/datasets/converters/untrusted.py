"""Read archives and MATLAB files, which may be damaged or made to harm."""

import shutil
import stat
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.io import loadmat

from mmseg.errors import UserError, reason, shorten

# Photos and rasters with their masks unpack to at most 20 times the size of an archive. An archive
# made to harm unpacks to 1,000 times.
MAX_EXPANSION, ALWAYS_ACCEPTED = 100, 2**28  # ratio, bytes


@contextmanager
def unpacked(
    source: Path, out: Path, suffixes: Collection[str], archives: Sequence[str] = ()
) -> Iterator[Path]:
    """Yield the folder `source`, or a folder in `out` with what is packed, removed at the end.

    `source` is an archive, or a folder that may hold some `archives`. Members with one of
    `suffixes` are unpacked. Raises `UserError`, before anything is written, if any member would
    land outside that folder, or if they are too large to be believed or for the disk.
    """
    found = [source / name for name in archives if (source / name).is_file()] or [source]
    if found != [source] and len(found) < len(archives):
        raise UserError(f"{source}: only {found[0].name} is there; put {', '.join(archives)} there")
    if not source.exists():
        raise UserError(f"{source}: no such archive or folder; download the data set first")
    if found[0].is_dir():
        yield source
        return
    folder = out / ".unpacked"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    try:
        for archive in found:
            _extract(archive, folder / archive.stem, suffixes)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(archive: Path, folder: Path, suffixes: Collection[str]) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            names = {m: PurePosixPath(m.filename) for m in members}
            # macOS adds a hidden "._a.tif" to each "a.tif".
            wanted = [m for m, n in names.items() if n.suffix in suffixes and n.name[:2] != "._"]
            _check(archive, members, sum(m.file_size for m in wanted), folder)
            opened.extractall(folder, wanted)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{archive}: cannot be unpacked ({error.strerror or error})") from error
    except Exception as error:  # zipfile raises a dozen kinds on broken archives
        raise UserError(
            f"{archive}: not a whole zip archive ({reason(error)}); get it again"
        ) from error


def _check(archive: Path, members: Sequence[zipfile.ZipInfo], size: int, folder: Path) -> None:
    """Refuse members outside `folder`, and `size` bytes; zipfile writes no more than declared."""
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or is_link or ":" in str(path)[:2]:
            raise UserError(
                f"{archive}: member {shorten(member.filename)!r} would land outside the target "
                "folder; do not trust this archive, get it from its publisher"
            )
    packed = archive.stat().st_size
    if size > ALWAYS_ACCEPTED + MAX_EXPANSION * packed:
        sizes = f"its {packed:,} bytes would unpack to {size:,}"
        raise UserError(f"{archive}: {sizes}; get it from its publisher, do not trust this one")
    existing = next(parent for parent in folder.absolute().parents if parent.exists())
    if size > (free := shutil.disk_usage(existing).free):
        raise UserError(f"{archive}: unpacks to {size:,} bytes, but {existing} has {free:,} free")


def read_mat(path: Path, pick: Callable[[dict], np.ndarray]) -> np.ndarray:
    """Return the (H, W) integers that `pick` takes from the variables of a MATLAB file.

    A child process reads it, because scipy's compiled reader crashes on some damaged files.
    """
    with ProcessPoolExecutor(1) as child:
        try:
            variables = child.submit(loadmat, str(path)).result()
        except BrokenProcessPool as error:
            raise UserError(f"{path}: is damaged, reading it crashes; get it again") from error
        except Exception as error:  # scipy raises many kinds on broken files
            raise UserError(f"{path}: not a MATLAB file ({reason(error)}); get it again") from error
    try:
        mask = np.asarray(pick(variables))
    except (LookupError, ValueError, TypeError) as error:
        raise UserError(f"{path}: does not hold a mask of this data set; get it again") from error
    if mask.dtype.kind not in "iu" or mask.ndim != 2 or not mask.size:
        raise UserError(f"{path}: the mask is {mask.dtype} {mask.shape}; get it again")
    return mask
