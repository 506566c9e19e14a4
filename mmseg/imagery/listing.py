"""List image files, and name the files of results."""

import glob
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from mmseg.errors import UserError
from mmseg.files import cannot_be_read

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


def list_images(
    inputs: Sequence[str],
    suffixes: Collection[str],
    *,
    skip_folders: Collection[Path] = (),
    skip_endings: tuple[str, ...] = (),
    recursive: bool = True,
    keep_unknown: bool = False,
) -> list[str]:
    """Return the images that files, folders and globs name, in the order of `inputs`.

    A folder gives its files with one of `suffixes` (lower case, with the dot), sorted, and with
    `recursive` those of its subfolders. Hidden files do not count.
    The results of an earlier run are left out by their place or by their name. No file inside
    `skip_folders` is returned, and no file of a folder whose name has one of `skip_endings`.
    With `keep_unknown`, a name that is no file, folder or glob is returned as it is, because GDAL
    also opens names such as "/vsizip/a.zip/a.tif".
    Raises `UserError` for an input that gives no image.
    """
    images: list[str] = []
    skipped = [folder.resolve() for folder in skip_folders]
    for name in inputs:
        if os.path.isdir(name):
            paths = files_below(name, recursive)
            found = [p for p in paths if p.lower().endswith(tuple(suffixes))]
            found = [p for p in found if not p.endswith(skip_endings)]
        elif os.path.isfile(name):
            found = [name]
        else:
            found = [p for p in glob.glob(name, recursive=True) if os.path.isfile(p)]
            if not found and keep_unknown:
                found = [name]
        found = [p for p in found if not any(f in Path(p).resolve().parents for f in skipped)]
        if not found:
            raise UserError(f"{name}: no image there; give files or folders of {suffixes}")
        images += sorted(found)
    return images


def names_in(folder: str | Path) -> list[str]:
    """Return the paths of the files below a folder from there on, as "town/a.png", sorted.

    Hidden files do not count.
    """
    names = [os.path.relpath(path, folder) for path in files_below(str(folder))]
    return sorted(name.replace(os.sep, "/") for name in names)


def files_below(folder: str, recursive: bool = True) -> list[str]:
    """Return the paths of the files in a folder, and with `recursive` in its subfolders.

    Hidden files and folders do not count. Links to folders are followed, but not back to a folder
    that contains them. Raises `UserError` for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise cannot_be_read(error.filename, error) from error

    paths: list[str] = []
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(place).resolve()
        inner = [f for f in folders if recursive and not f.startswith(".")]
        folders[:] = [f for f in inner if not here.is_relative_to((here / f).resolve())]
        paths += [os.path.join(place, name) for name in files if not name.startswith(".")]
    return paths


class OutputNames:
    """Name the PNG of each image: `<folder>/<stem>.png`.

    With `root`, the name keeps the image's path below that folder: `<folder>/<path>/<stem>.png`.
    """

    def __init__(self, folder: str | Path, root: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.root = root
        self._image_of: dict[Path, str] = {}

    def __call__(self, img_path: str) -> Path:
        """Return the file of an image; raise UserError when another image has it already."""
        image = Path(os.path.abspath(img_path))
        root = image.parent if self.root is None else os.path.abspath(self.root)
        path = self.folder / image.relative_to(root).with_suffix(".png")
        other = self._image_of.setdefault(path, img_path)
        if other != img_path:
            raise UserError(f"{other} and {img_path} would both be written to {path}: rename one")
        return path
