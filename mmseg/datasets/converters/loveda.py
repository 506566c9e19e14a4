"""LoveDA: the files of its archives sorted into img_dir/<split> and ann_dir/<split>."""

from collections import Counter
from pathlib import Path

from mmseg.datasets.converters.common import find, find_pairs
from mmseg.datasets.converters.untrusted import unpacked
from mmseg.errors import UserError
from mmseg.files import write_whole

ARCHIVES = ("Train.zip", "Val.zip", "Test.zip")
FILES = r"({})/(?:[^/]+/)*{}/([^/]+)\.png"  # Rural and Urban


def convert_loveda(source: Path, out: Path) -> dict[str, int]:
    """Sort Train.zip and Val.zip (and Test.zip, if it is there) of `source`, or folders so called.

    Rural and urban files come into one folder. Returns the number of images of each split.
    """
    with unpacked(source, out, {".png"}, ARCHIVES) as root:
        splits = "Train|Val"
        patterns = (FILES.format(splits, kind) for kind in ("images_png", "masks_png"))
        files = {key: paths for key, *paths in find_pairs(root, *patterns)}
        if len({key.partition("/")[0] for key in files}) != 2:
            raise UserError(f"{source}: one of Train and Val is not there; get it")
        tests = find(root, FILES.format("Test", "images_png"))
        files |= {key: [image] for key, image in tests.items()}
        for key, paths in files.items():
            place = f"{key.partition('/')[0].lower()}/{key.rpartition('/')[2]}.png"
            for folder, path in zip(("img_dir", "ann_dir"), paths, strict=False):
                write_whole(out / folder / place, path.read_bytes())
    return dict(Counter(key.partition("/")[0].lower() for key in files))
