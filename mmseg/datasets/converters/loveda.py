"""LoveDA: the files of its archives sorted into img_dir/<split> and ann_dir/<split>."""

import shutil
from pathlib import Path

from mmseg.datasets.converters.common import find
from mmseg.datasets.converters.untrusted import unpacked
from mmseg.errors import UserError
from mmseg.files import whole_file

FOLDERS = {"images_png": "img_dir", "masks_png": "ann_dir"}


def convert_loveda(source: Path, out: Path) -> dict[str, int]:
    """Sort Train.zip and Val.zip (and Test.zip, if it is there) of `source`, or folders so called.

    Rural and urban files come into one folder. Returns the number of images of each split.
    """
    counts = {}
    for split in ("Train", "Val", "Test"):
        archive, folder = source / f"{split}.zip", source / split
        if folder.is_dir() and not archive.is_file():
            counts[split.lower()] = _sort(folder, out, split.lower(), _copy)
        elif archive.is_file() or split != "Test":
            with unpacked(archive, out, {".png"}) as folder:
                counts[split.lower()] = _sort(folder, out, split.lower(), shutil.move)
    return counts


def _copy(source: Path, target: Path) -> None:
    with whole_file(target) as part:
        shutil.copyfile(source, part)


def _sort(root: Path, out: Path, split: str, place) -> int:
    counts = dict.fromkeys(FOLDERS, 0)
    for kind, name in FOLDERS.items():
        target = out / name / split
        target.mkdir(parents=True, exist_ok=True)
        for path in find(root, f"**/{kind}/*.png"):
            place(path, target / path.name)
            counts[kind] += 1
    images, masks = counts["images_png"], counts["masks_png"]
    if not images or (split != "test" and images != masks):
        raise UserError(f"{root}: {images} images and {masks} masks; get the archive again")
    return images
