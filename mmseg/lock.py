"""One process at work in a folder."""

import errno
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmengine.dist import is_main_process

from mmseg.errors import UserError

LOCK = ".lock"
LOCKED_BYTE = 2**20  # Windows lets nobody read a locked byte, and the text before it is for all


@contextmanager
def sole_process(folder: str | Path, work: str, option: str) -> Iterator[None]:
    """Hold a folder, or raise `UserError` when another process holds it.

    `work` says what the holder does there ("trains in this work directory"), and `option` names
    the option that chooses another folder. The system releases the lock when the process ends, also
    when it is killed. In a group of processes, the first one holds the folder for all.
    """
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
