"""One training run per work directory."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import is_main_process

from mmseg.errors import UserError


@contextmanager
def sole_run(folder: str | Path) -> Iterator[None]:
    """Hold the work directory, or raise `UserError` when another process does.

    The system lets go of the lock with the process that holds it, however that ends; unlike those
    of `flock`, the lock is not inherited by loader workers that outlive a killed run by seconds.
    """
    if not is_main_process():
        yield
        return
    with Path(folder, ".lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise UserError(
                    f"{folder}: files cannot be locked there ({error.strerror or error}), so that "
                    "two runs could write over each other; choose another --work-dir"
                ) from error
            file.seek(0)
            raise UserError(
                f"{folder}: process {file.read()} trains in this work directory; wait for it, end "
                "it, or choose another --work-dir"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()} of {os.uname().nodename}")
        file.flush()
        for left in Path(folder).glob(".*.part.pth"):  # of a save that a kill ended
            left.unlink()
        yield
