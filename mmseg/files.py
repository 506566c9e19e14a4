"""Files that are whole or absent, folders that one process holds, and the errors of both."""

import errno
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mmseg.errors import UserError, reason

LOCK = ".lock"
LOCKED_BYTE = 2**20  # Windows lets nobody read a locked byte, and the text before it is for all


def cannot_be_read(path: object, error: OSError) -> UserError:
    """Return the error to raise for a file or folder that the system does not let us read."""
    return UserError(f"{path}: cannot be read ({error.strerror or error})")


def cannot_be_written(path: object, error: Exception, advice: str = "") -> UserError:
    """Return the error to raise for a file or folder that cannot be written.

    `advice` follows the reason and says what to do, as in "choose another folder".
    """
    cause = getattr(error, "strerror", None) or reason(error)
    return UserError(f"{path}: cannot be written ({cause})" + (f"; {advice}" if advice else ""))


@contextmanager
def whole_file(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` if the block ends well.

    An interruption leaves the old file or the new one, never half a file. Missing folders are made.
    With `durable` this also holds for a power cut: the function waits until the disk has the file.
    Raises `UserError` when the file cannot be written.
    """
    path = Path(path)
    # The suffix stays at the end, because writers choose the format by it.
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if durable:
            _flush(part)
        os.replace(part, path)
        if durable and os.name != "nt":  # Windows cannot open a folder
            _flush(path.parent)
    except OSError as error:
        raise cannot_be_written(path, error) from error
    finally:
        with suppress(OSError):  # the file is renamed by now, or was never begun
            part.unlink()


def remove_unfinished(folder: str | Path, suffix: str) -> None:
    """Remove the temporary files that a killed process left in a folder."""
    for part in Path(folder).glob(f".*.part{suffix}"):
        part.unlink(missing_ok=True)


def make_writable(folder: str | Path) -> None:
    """Make a folder with its parents; raise `UserError` when nothing can be written there.

    A run calls this at its start, so it does not fail hours later at its first checkpoint.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))  # a full disk still takes an empty file
    except OSError as error:
        raise cannot_be_written(folder, error, "choose another folder") from error


def read_text(path: str | Path) -> str:
    """Return a UTF-8 text without its byte order mark; raise `UserError` for any other content."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text in UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise cannot_be_read(path, error) from error
    if not "".join(text.split()).isprintable():
        raise UserError(f"{path}: not a text, because it holds control characters; write it again")
    return text


def _flush(path: Path) -> None:
    # Windows flushes only a file that is open for writing; a folder opens only for reading.
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: str | Path, data: bytes) -> None:
    """Write bytes through `whole_file`."""
    with whole_file(path) as part:
        part.write_bytes(data)


@contextmanager
def sole_process(folder: str | Path, work: str, option: str) -> Iterator[None]:
    """Hold a folder, or raise `UserError` when another process holds it.

    `work` says what the holder does there ("trains in this work directory"), and `option` names
    the option that chooses another folder. The system releases the lock when the process ends, also
    when it is killed. In a group of processes, the first one holds the folder for all.
    """
    from mmengine.dist import is_main_process  # torch comes with it, which takes a second

    if not is_main_process():
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with Path(folder, LOCK).open("a+") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise UserError(
                    f"{folder}: files cannot be locked there ({error.strerror or error}), so two "
                    f"runs could write over each other; choose another {option}"
                ) from error
            file.seek(0)
            raise UserError(
                f"{folder}: process {file.read()} {work}; wait for it, end it, or choose another "
                f"{option}"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()} of {platform.node()}")
        file.flush()
        yield


def _lock(file: IO[str]) -> None:
    """Lock a file for this process; raise OSError when another process has it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Not `flock`: loader workers inherit its lock and can outlive a killed run by seconds.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
