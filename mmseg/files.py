"""Files that are whole or not there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmseg.errors import UserError

PROBE = 2**12  # bytes


@contextmanager
def whole_file(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to it when the block ends well.

    An interruption leaves the old file or the new one, never half of it. Missing folders are made.
    `durable` waits for the disk, so that a power cut leaves one of the two as well. Raises
    `UserError` when the file cannot be written.
    """
    path = Path(path)
    # The suffix stays last: writers choose the format by it.
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if durable:
            _flush(part)
        os.replace(part, path)
        if durable:
            _flush(path.parent)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # renamed by now, or never begun
            part.unlink()


def remove_unfinished(folder: str | Path, suffix: str) -> None:
    """Remove what a kill left of files that were being written in a folder."""
    for part in Path(folder).glob(f".*.part{suffix}"):
        part.unlink(missing_ok=True)


def make_writable(folder: str | Path) -> None:
    """Make a folder, with its parents, and try it; `UserError` when nothing can be written there.

    A run should not find this out when it saves its first checkpoint.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))  # an empty file fits a full disk, too
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error


def read_text(path: str | Path) -> str:
    """Return a UTF-8 text, with or without a byte order mark; `UserError` for any other content."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text in UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not "".join(text.split()).isprintable():
        raise UserError(f"{path}: not a text, it holds control characters; write it again")
    return text


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: str | Path, data: bytes) -> None:
    """Write bytes through `whole_file`."""
    with whole_file(path) as part:
        part.write_bytes(data)
