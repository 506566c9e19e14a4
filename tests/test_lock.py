"""A folder that one process holds."""

import errno
import os
import sys
from types import SimpleNamespace

import pytest

from mmseg.errors import UserError
from mmseg.lock import sole_process


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path, held_elsewhere):
    with held_elsewhere(tmp_path / "run") as holder:
        message = rf"run: process {holder.pid} of \S+ trains here; .*or choose another --work-dir"
        with pytest.raises(UserError, match=message):
            sole_process(tmp_path / "run", "trains here", "--work-dir").__enter__()
        holder.kill()
        holder.join()
        with sole_process(tmp_path / "run", "trains here", "--work-dir"):
            assert (tmp_path / "run/.lock").read_text().startswith(f"{os.getpid()} of ")


@pytest.fixture
def windows(monkeypatch) -> SimpleNamespace:
    """Stand for Windows, which has no `fcntl`; `taken` tells that another process has the lock."""
    state = SimpleNamespace(taken=False, places=[])

    def locking(descriptor: int, mode: int, count: int) -> None:
        state.places.append(os.lseek(descriptor, 0, os.SEEK_CUR))
        if state.taken:
            raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    monkeypatch.setattr("mmseg.lock.sys", SimpleNamespace(platform="win32"))
    return state


def test_the_lock_of_windows_lies_behind_the_text_that_others_read(tmp_path, windows):
    with sole_process(tmp_path / "run", "trains here", "--work-dir"):
        text = (tmp_path / "run/.lock").read_text()
    assert text.startswith(f"{os.getpid()} of ")
    assert windows.places[0] > len(text)
    windows.taken = True
    with pytest.raises(UserError, match=rf"run: process {os.getpid()} of \S+ trains here; wait"):
        sole_process(tmp_path / "run", "trains here", "--work-dir").__enter__()
