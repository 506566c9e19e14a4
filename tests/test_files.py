"""Files are whole or not there."""

import resource
from pathlib import Path

import pytest

from mmseg.errors import UserError
from mmseg.files import make_writable, read_text, remove_unfinished, whole_file, write_whole


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
