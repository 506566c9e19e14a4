"""Prepare a data set for training: python tools/convert_dataset.py NAME ..."""

import argparse
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from mmseg.datasets.converters.isaid import convert_isaid
from mmseg.datasets.converters.isprs import LAYOUTS, convert_isprs
from mmseg.datasets.converters.landcover import convert_landcover
from mmseg.datasets.converters.loveda import convert_loveda
from mmseg.datasets.converters.pascal import convert_pascal_context, convert_voc_aug
from mmseg.datasets.converters.relabel import convert_cityscapes, convert_coco_stuff
from mmseg.errors import one_line_errors


def convert_coco(masks: Path, out: Path, workers: int = 1) -> int:
    """Write the train ids of COCO-Stuff; `masks` holds train2017/ and val2017/ of stuffthingmaps.

    Returns the number of masks.
    """
    splits = ("train2017", "val2017")
    return convert_coco_stuff({split: masks / split for split in splits}, out, workers)


CONVERTERS: dict[str, Callable] = {
    "cityscapes": convert_cityscapes,
    "coco_stuff164k": convert_coco,
    "isaid": convert_isaid,
    "landcover": partial(convert_landcover, tile_size=512),
    "loveda": convert_loveda,
    "pascal_context": convert_pascal_context,
    **{name: partial(convert_isprs, name=name) for name in LAYOUTS},
    "voc_aug": convert_voc_aug,
}
FOLDERS = {"isaid": "iSAID", "loveda": "loveDA"}  # those in data/ that are not called as the set
CHOICES = {"image_format": ("jpg", "png")}


def add_parameters(parser: argparse.ArgumentParser, name: str) -> None:
    """Add what the converter of a data set takes: folders, and flags with its defaults."""
    convert = CONVERTERS[name]
    for key, parameter in inspect.signature(convert).parameters.items():
        flag = "--" + key.replace("_", "-")
        value = 2 if key == "workers" else parameter.default
        if key == "out":
            folder = Path("data", FOLDERS.get(name, name))
            parser.add_argument("-o", flag, type=Path, default=folder, metavar="DIR")
        elif value is parameter.empty:
            parser.add_argument(key, type=Path)
        elif value is False:
            parser.add_argument(flag, action="store_true")
        elif key not in getattr(convert, "keywords", {}):
            choices = CHOICES.get(key)
            parser.add_argument(flag, type=type(value), default=value, choices=choices)


def told(result: Any) -> str:
    """Return what a converter did: the number of files, or of each split, or pixels of classes."""
    if isinstance(result, dict):
        return ", ".join(f"{split}: {told(value)}" for split, value in result.items())
    if isinstance(result, list) and not isinstance(result[0], str):
        return f"pixels of the classes {result}"
    return f"{len(result) if isinstance(result, list) else result} files"


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = parser.add_subparsers(dest="dataset", required=True, metavar="NAME")
    for name, convert in CONVERTERS.items():
        text = inspect.getdoc(getattr(convert, "func", convert)) or ""
        kind = argparse.RawDescriptionHelpFormatter
        first = text.partition("\n")[0]
        add_parameters(
            names.add_parser(name, help=first, description=text, formatter_class=kind), name
        )
    args = vars(parser.parse_args())
    name = args.pop("dataset")
    MMLogger.get_current_instance().info(f"{name}: {told(CONVERTERS[name](**args))}")


if __name__ == "__main__":
    main()
