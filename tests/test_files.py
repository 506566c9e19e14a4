"""Files are whole or not there."""

import pytest

from mmseg.errors import UserError
from mmseg.files import whole_file, write_whole


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


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file/b\.txt: cannot be written"):
        write_whole(tmp_path / "file/b.txt", b"")
