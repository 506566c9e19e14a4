"""What the converters share: id lists, masks, safe unpacking, progress."""

import contextlib
import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import cv2
import mmcv
import numpy as np
from mmengine.utils import track_parallel_progress, track_progress
from scipy.io import loadmat

from mmseg.errors import UserError, reason, shorten
from mmseg.files import read_text, write_whole
from mmseg.imagery import image

Task = TypeVar("Task")

# Photos and rasters with their masks shrink 20-fold at most, all together; a bomb 1,000-fold.
MAX_EXPANSION, ALWAYS_ACCEPTED = 100, 2**28  # ratio, bytes


def read_ids(path: Path) -> list[str]:
    """Return the ids of a list file, one per line, in the order of the file."""
    if not path.is_file():
        raise UserError(f"{path}: no such list; the archive is incomplete, unpack it again")
    return read_text(path).split()


def write_ids(path: Path, ids: Sequence[str]) -> None:
    write_whole(path, "".join(f"{line}\n" for line in ids).encode())


def name_some(ids: Collection[str], total: int) -> str:
    """Say which ids are meant: "3 of 40 (a, b, c)", with five names at most."""
    names = ", ".join(sorted(ids)[:5])
    return f"{len(ids)} of {total} ({names}{', ...' if len(ids) > 5 else ''})"


def read_image(path: Path) -> np.ndarray:
    """Read an image as training does, but as uint8 (H, W, 3) in RGB order."""
    return mmcv.bgr2rgb(image.read_image(str(path)))


def read_mat(path: Path) -> dict[str, Any]:
    """Read the variables of a MATLAB file."""
    if not _can_be_read(path):
        raise UserError(f"{path}: is damaged so that reading it crashes; get it again")
    try:
        return loadmat(path)
    except Exception as error:  # scipy raises many kinds on broken files
        raise UserError(f"{path}: not a MATLAB file ({reason(error)}); get it again") from error


def _can_be_read(path: Path) -> bool:
    """Read the file in a child first: scipy's compiled reader crashes on some damaged files."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(Exception):  # what it raises, it raises again
            loadmat(path)
        os._exit(0)
    return os.WIFEXITED(os.waitpid(child, 0)[1])


def encode_image(image: np.ndarray, suffix: str) -> bytes:
    """Encode a uint8 (H, W) or RGB (H, W, 3) image as ".png", or as ".jpg" of quality 95.

    95 is OpenCV's own choice, with which the official tiles of LandCover.ai were made.
    """
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, image)[1].tobytes()


def count_ids(
    mask: np.ndarray, num_classes: int, path: Path, ignore_index: int | None = None
) -> np.ndarray:
    """Return the int64 (num_classes,) pixel counts of a mask of integers read from `path`.

    Raises `UserError` that names the ids which are neither a class nor `ignore_index`.
    """
    # Not bincount at first: a 32-bit value would make it count gigabytes.
    present = np.unique(mask).astype(np.int64)
    unknown = present[((present < 0) | (present >= num_classes)) & (present != ignore_index)]
    if unknown.size:
        shown = f"{unknown[:5].tolist()}{' and more' if unknown.size > 5 else ''}"
        raise UserError(
            f"{path}: ids {shown} are outside 0..{num_classes - 1}; "
            "is this the mask of another data set?"
        )
    return np.bincount(mask.ravel(), minlength=num_classes)[:num_classes]


def extract_zip(archive: Path, folder: Path, suffixes: Collection[str]) -> None:
    """Unpack the members with one of `suffixes` into `folder`.

    Raises `UserError`, before anything is written, when any member would land outside `folder`, or
    when the members are too large to be believed or for the disk.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            wanted = [m for m in members if Path(m.filename).suffix in suffixes]
            _check_members(archive, members)
            _check_expansion(archive, sum(m.file_size for m in wanted), folder)
            opened.extractall(folder, wanted)
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"{archive}: cannot be unpacked into {folder} ({error.strerror or error})"
        ) from error
    except Exception as error:  # zipfile raises a dozen kinds on broken archives
        raise UserError(
            f"{archive}: not a whole zip archive ({reason(error)}); get it again"
        ) from error


def _check_members(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    for member in members:
        if not _stays_inside(member):
            raise UserError(
                f"{archive}: member {shorten(member.filename)!r} would land outside the target "
                "folder; do not trust this archive, get it from its publisher"
            )


def _check_expansion(archive: Path, size: int, folder: Path) -> None:
    """Refuse `size` bytes; zipfile never writes more of a member than the archive declares."""
    packed = archive.stat().st_size
    if size > ALWAYS_ACCEPTED + MAX_EXPANSION * packed:
        raise UserError(
            f"{archive}: its {packed:,} bytes would unpack to {size:,}; do not trust this archive, "
            "get it from its publisher"
        )
    existing = next(parent for parent in folder.absolute().parents if parent.exists())
    if size > (free := shutil.disk_usage(existing).free):
        raise UserError(f"{archive}: unpacks to {size:,} bytes, but {existing} has {free:,} free")


def _stays_inside(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    has_drive = ":" in path.parts[0] if path.parts else False
    return not (path.is_absolute() or ".." in path.parts or is_link or has_drive)


def map_with_progress(
    function: Callable[[Task], Any], tasks: Sequence[Task], workers: int
) -> list[Any]:
    """Return [function(task) for task in tasks] from `workers` processes, under a progress bar."""
    if workers > 1:
        return track_parallel_progress(function, list(tasks), workers, file=sys.stderr)
    return track_progress(function, list(tasks), file=sys.stderr)
