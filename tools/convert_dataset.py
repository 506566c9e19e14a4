"""Prepare a data set for training: python tools/convert_dataset.py NAME ..."""

import argparse
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from mmseg.datasets.converters.landcover import convert_landcover
from mmseg.datasets.converters.relabel import (
    convert_cityscapes,
    convert_coco_stuff,
    convert_pascal_context,
    convert_voc_aug,
)
from mmseg.datasets.converters.tiled import LAYOUTS, convert_tiled
from mmseg.errors import one_line_errors

# What each converter does, and its function. The arguments of the function are those to give.
CONVERTERS: dict[str, tuple[str, Callable[..., int]]] = {
    "cityscapes": ("write the train ids of Cityscapes", convert_cityscapes),
    "coco_stuff164k": ("write the train ids of COCO-Stuff", convert_coco_stuff),
    "landcover": ("cut LandCover.ai into tiles", convert_landcover),
    "pascal_context": ("make the masks of Pascal Context", convert_pascal_context),
    **{
        name: (
            f"make {name} from {' and '.join(layout.archives or ('train/', 'val/'))}",
            partial(convert_tiled, name),
        )
        for name, layout in LAYOUTS.items()
    },
    "voc_aug": ("join Pascal VOC 2012 and SBD", convert_voc_aug),
}
OUT = {"isaid": "data/iSAID", "loveda": "data/loveDA"}
FOLDERS = {
    "root": "the folder with leftImg8bit/ and gtFine/",
    "masks": "stuffthingmaps: the folder of train2017, val2017",
    "source": "the archive, or the folder with the archives or what was in them",
    "devkit": "the folder with VOC2010/ or VOC2012/: data/VOCdevkit",
    "labels": "the folder of <id>.mat from trainval.tar.gz",
    "sbd": "the folder with dataset/: data/VOCdevkit/VOCaug",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "workers": {"type": int, "default": 2, "help": "processes"},
    "tile": {"type": int, "help": "side of a tile in pixels"},
    "overlap": {"type": int, "help": "pixels that two tiles share"},
    "image_format": {"choices": ("jpg", "png"), "default": "jpg"},
    "allow_partial": {"action": "store_true", "help": "accept lists without all 10,582 ids"},
}


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, (text, convert) in CONVERTERS.items():
        own = names.add_parser(name, help=text, description=text)
        for key in inspect.signature(convert).parameters:
            if key in FOLDERS:
                own.add_argument(key, type=Path, help=FOLDERS[key])
            elif key == "out":
                out = Path(OUT.get(name, f"data/{name}"))
                own.add_argument("-o", "--out", type=Path, default=out, metavar="DIR")
            elif key not in ("tile", "overlap") or (name in LAYOUTS and LAYOUTS[name].tile):
                own.add_argument("--" + key.replace("_", "-"), **OPTIONS[key])
    args = vars(parser.parse_args())
    name = args.pop("name")
    count = CONVERTERS[name][1](**args)
    folder = next(args[key] for key in ("out", "root", "devkit") if key in args)
    MMLogger.get_current_instance().info(f"{folder}: {count} masks are written")


if __name__ == "__main__":
    main()
