"""Archives and MATLAB files that are damaged or made to harm are refused by name."""

import faulthandler
import os
import signal
import stat
import zipfile

import pytest
from scipy.io import savemat

from mmseg.datasets.converters import common
from mmseg.datasets.converters.common import read_mat, unpacked
from mmseg.errors import UserError


@pytest.fixture
def archive(tmp_path):
    """An archive of two files; one of them has no suffix that is unpacked."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("images/a.tif", b"pixels" * 500)
        opened.writestr("split.py", "raise SystemExit('never run')")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def unpack(archive, out):
    with unpacked(archive, out) as folder:
        return {str(p.relative_to(folder / "a")): p.read_bytes() for p in folder.rglob("*.*")}


def add(archive, name, data="evil", **attributes):
    member = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(member, key, value)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(member, data)


def test_wanted_members_are_there_until_the_end(archive, out):
    assert unpack(archive, out) == {"images/a.tif": b"pixels" * 500}
    assert list(out.iterdir()) == []


def test_the_files_that_macos_adds_are_left_out(archive, out):
    add(archive, "__MACOSX/images/._a.tif")
    assert list(unpack(archive, out)) == ["images/a.tif"]


def test_an_archive_that_is_missing_or_cut_short_is_named(archive, out):
    with pytest.raises(UserError, match=r"b\.zip: no such archive or folder"):
        unpack(archive.with_name("b.zip"), out)
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"a\.zip: not a whole zip archive"):
        unpack(archive, out)


LINK = {"external_attr": (stat.S_IFLNK | 0o777) << 16}


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        *((n, {}) for n in ("../evil.txt", "/evil.txt", "a/../../b.txt", "..\\b.txt", "C:\\b.txt")),
        ("images/link.tif", LINK),
    ],
)
def test_no_member_lands_outside_the_target_or_is_a_link(archive, out, name, attributes):
    add(archive, name, "/etc/passwd", **attributes)
    with unpacked(archive, out) as folder:
        assert len(list(folder.rglob("*.t*"))) == 2
        assert not any(path.is_symlink() for path in folder.rglob("*"))
        assert set(out.parent.rglob("*.t*")) == set(folder.rglob("*.t*"))
    assert list(out.iterdir()) == []


def test_a_member_that_holds_more_than_it_declares_is_refused(archive, out):
    data = bytearray(archive.read_bytes())
    entry = data.rfind(b"PK\x01\x02", 0, data.rfind(b"images/a.tif"))
    data[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(UserError, match=r"a\.zip: not a whole zip archive"):
        unpack(archive, out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", ["images/a.tif/x.txt", "n" * 300 + ".txt"])
def test_a_member_that_no_folder_can_hold_names_the_archive(archive, out, name):
    add(archive, name)
    with pytest.raises(UserError, match=r"a\.zip: cannot be unpacked \("):
        unpack(archive, out)


@pytest.fixture
def mat(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"ids": list(range(100))}, do_compression=True)
    return path


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"MATLAB 5.0 MAT-file" + b" " * 200, None])
def test_a_matlab_file_is_read_or_named(mat, content):
    assert read_mat(mat, lambda found: found["ids"]).tolist() == [list(range(100))]
    mat.write_bytes(mat.read_bytes()[:-40] if content is None else content)
    with pytest.raises(UserError, match=r"a\.mat: not a MATLAB file"):
        read_mat(mat, dict)


def crash(path):
    faulthandler.disable()  # pytest's would fill the log
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_matlab_file_that_crashes_its_reader_is_named(mat, monkeypatch):
    monkeypatch.setattr(common, "loadmat", crash)
    with pytest.raises(UserError, match=r"a\.mat: not a MATLAB file"):
        read_mat(mat, dict)
