"""Files are whole or not there, and one process holds a folder."""

import errno
import os
import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg.errors import UserError
from mmseg.files import (
    make_writable,
    read_text,
    remove_unfinished,
    sole_process,
    whole_file,
    write_whole,
)


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder/a.txt"
    write_whole(path, b"old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        part.write_bytes(b"ne")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_finished_file_replaces_the_old_one(tmp_path):
    write_whole(tmp_path / "a.txt", b"old")
    write_whole(tmp_path / "a.txt", b"new")
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_kill_left_is_removed_and_no_other_file(tmp_path):
    for name in (".iter_4.77.part.pth", ".a.77.part.tif", ".lock", "iter_4.pth", "my.part.pth"):
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, ".pth")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".a.77.part.tif", ".lock", "iter_4.pth", "my.part.pth"}


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file/b\.txt: cannot be written"):
        write_whole(tmp_path / "file/b.txt", b"")


def test_a_full_disk_is_noticed_before_anything_is_to_be_kept(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(UserError, match=r"run: cannot be written \(File too large\)"):
            make_writable(tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    "content", ["a\nb".encode("utf-16"), b"\xff\xd8\xff\xe0", b"a\0b", b"\x1b[2J"]
)
def test_a_file_that_is_no_utf8_text_is_named(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"list\.txt: not a text"):
        read_text(tmp_path / "list.txt")


def test_a_text_of_any_language_is_read_with_and_without_a_mark(tmp_path):
    text = "Straße\t東京\r\nb\n"
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "list.txt").write_bytes(text.encode(encoding))
        assert read_text(tmp_path / "list.txt").split() == text.split()


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    make_writable(tmp_path / "work/run")
    assert list((tmp_path / "work/run").iterdir()) == []


def test_a_folder_that_cannot_be_made_or_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file/work", Path("/proc/work")):
        with pytest.raises(UserError, match=f"{folder}: cannot be written"):
            make_writable(folder)


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
    monkeypatch.setattr("mmseg.files.sys", SimpleNamespace(platform="win32"))
    return state


def test_the_lock_of_windows_lies_behind_the_text_that_others_read(tmp_path, windows):
    with sole_process(tmp_path / "run", "trains here", "--work-dir"):
        text = (tmp_path / "run/.lock").read_text()
    assert text.startswith(f"{os.getpid()} of ")
    assert windows.places[0] > len(text)
    windows.taken = True
    with pytest.raises(UserError, match=rf"run: process {os.getpid()} of \S+ trains here; wait"):
        sole_process(tmp_path / "run", "trains here", "--work-dir").__enter__()
