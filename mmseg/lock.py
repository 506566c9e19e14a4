"""One process at work in a folder."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import is_main_process

from mmseg.errors import UserError

LOCK = ".lock"


@contextmanager
def sole_process(folder: str | Path, work: str, option: str) -> Iterator[None]:
    """Hold a folder, or raise `UserError` when another process does.

    `work` says what the holder does there ("trains in this work directory"), `option` which option
    names another folder. The system lets go of the lock with the process that holds it, however
    that ends; unlike those of `flock`, the lock is not inherited by loader workers that outlive a
    killed run by seconds. In a group, the first process holds the folder for all.
    """
    if not is_main_process():
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with Path(folder, LOCK).open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise UserError(
                    f"{folder}: files cannot be locked there ({error.strerror or error}), so that "
                    f"two runs could write over each other; choose another {option}"
                ) from error
            file.seek(0)
            raise UserError(
                f"{folder}: process {file.read()} {work}; wait for it, end it, or choose another "
                f"{option}"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()} of {os.uname().nodename}")
        file.flush()
        yield
