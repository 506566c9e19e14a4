"""list_images and names_in: which files a folder, a glob or another name stands for."""

import pytest

from mmseg.errors import UserError
from mmseg.imagery import list_images
from mmseg.imagery.listing import names_in

SUFFIXES = (".tif", ".png")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files a.tif, B.PNG, sub/c.tif and some that are not listed."""
    for name in ("a.tif", "B.PNG", "sub/c.tif", "notes.txt", ".hidden.tif", ".cache/d.tif"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "images"


def test_a_folder_gives_the_images_of_its_subfolders_sorted(folder):
    assert list_images(["images"], SUFFIXES) == ["images/B.PNG", "images/a.tif", "images/sub/c.tif"]
    assert list_images(["images"], SUFFIXES, recursive=False) == ["images/B.PNG", "images/a.tif"]


def test_files_and_globs_keep_the_order_of_the_command_line(folder):
    assert list_images(["images/notes.txt", "images/**/*.tif"], SUFFIXES) == [
        *("images/notes.txt", "images/a.tif", "images/sub/c.tif"),
    ]


def test_results_of_an_earlier_run_are_left_out(folder):
    (folder / "a.landcover.tif").touch()
    names = ["images/B.PNG", "images/a.tif"]
    skips = {"skip_folders": [folder / "sub"], "skip_endings": (".landcover.tif",)}
    assert list_images(["images"], SUFFIXES, **skips) == names
    assert list_images(["images/a.landcover.tif"], SUFFIXES, **skips) == ["images/a.landcover.tif"]
    with pytest.raises(UserError, match=r"c\.tif: no image there"):
        list_images(["images/sub/c.tif"], SUFFIXES, **skips)


@pytest.mark.parametrize("name", ["absent.tif", "images/*.jpg", "empty"])
def test_an_input_without_an_image_is_refused(folder, name):
    (folder.parent / "empty").mkdir()
    with pytest.raises(UserError, match="no image there; give files or folders of"):
        list_images([name], SUFFIXES)


def test_names_that_another_library_may_open_are_kept_on_request(folder):
    name = "/vsizip/a.zip/a.tif"
    assert list_images(["images/a.tif", name], SUFFIXES, keep_unknown=True)[1:] == [name]


def test_a_link_back_to_a_folder_around_it_adds_no_name(folder):
    (folder / "again").symlink_to(folder)
    (folder / "linked").symlink_to(folder / "sub")
    assert names_in(folder) == ["B.PNG", "a.tif", "linked/c.tif", "notes.txt", "sub/c.tif"]


def test_linked_folders_are_followed_and_files_that_macos_adds_left_out(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/e.tif").touch()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "._a.tif").touch()
    assert list_images(["images"], SUFFIXES)[2:] == ["images/link/e.tif", "images/sub/c.tif"]
    assert names_in("images")[1:] == ["a.tif", "link/e.tif", "notes.txt", "sub/c.tif"]
