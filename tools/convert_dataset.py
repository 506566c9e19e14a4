"""Prepare a data set for training: python tools/convert_dataset.py NAME ..."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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


class Converter(NamedTuple):
    """A data set: what to do, its function, the folders to give and the names of its options."""

    help: str
    convert: Callable[[argparse.Namespace], str]
    folders: dict[str, str]
    options: tuple[str, ...] = ("--workers",)
    out: str | None = None


def shares(pixels: list[int]) -> str:
    return ", ".join(f"{count / sum(pixels):.1%}" for count in pixels)


def tiling(args: argparse.Namespace) -> dict[str, int]:
    return {k: v for k, v in vars(args).items() if k in ("workers", "tile", "overlap")}


OUT = {"isaid": "data/iSAID", "loveda": "data/loveDA"}
OPTIONS: dict[str, dict] = {
    "--workers": {"type": int, "default": 2, "help": "processes"},
    "--tile": {"type": int, "help": "side of a tile in pixels"},
    "--overlap": {"type": int, "help": "pixels that two tiles share"},
    "--image-format": {"choices": ("jpg", "png"), "default": "jpg"},
    "--allow-partial": {"action": "store_true", "help": "accept lists without all 10,582 ids"},
}
CONVERTERS = {
    "cityscapes": Converter(
        "write the train ids of Cityscapes",
        lambda a: f"{a.root}/gtFine: {convert_cityscapes(a.root, a.workers)} masks in train ids",
        {"root": "the folder with leftImg8bit/ and gtFine/"},
    ),
    "coco_stuff164k": Converter(
        "write the train ids of COCO-Stuff",
        lambda a: (
            f"{a.out}/annotations: {convert_coco_stuff(a.masks, a.out, a.workers)} masks "
            "in train ids"
        ),
        {"masks": "stuffthingmaps: the folder of train2017, val2017"},
        out="data/coco_stuff164k",
    ),
    "landcover": Converter(
        "cut LandCover.ai into tiles",
        lambda a: (
            f"{a.out}: shares of the classes 0 to 4: "
            f"{shares(convert_landcover(a.source, a.out, a.image_format, a.workers)['total'])}"
        ),
        {"source": "landcover.ai.v1.zip or the unpacked folder"},
        ("--image-format", "--workers"),
        out="data/landcover",
    ),
    "pascal_context": Converter(
        "make the masks of Pascal Context",
        lambda a: f"{a.devkit}: {convert_pascal_context(a.devkit, a.labels, a.workers)} masks",
        {
            "devkit": "the folder with VOC2010/: data/VOCdevkit",
            "labels": "the folder of <id>.mat from trainval.tar.gz",
        },
    ),
    **{
        name: Converter(
            f"cut {name} into tiles",
            lambda a: f"{a.out}: {convert_tiled(a.source, a.out, a.name, **tiling(a))} tiles",
            {"source": "the folder with " + " and ".join(layout.archives or ("train/", "val/"))},
            ("--tile", "--overlap", "--workers") if layout.tile else ("--workers",),
            out=OUT.get(name, f"data/{name}"),
        )
        for name, layout in LAYOUTS.items()
    },
    "voc_aug": Converter(
        "join Pascal VOC 2012 and SBD",
        lambda a: (
            f"{a.devkit}: trainaug.txt lists "
            f"{len(convert_voc_aug(a.devkit, a.sbd, a.workers, a.allow_partial))} masks"
        ),
        {
            "devkit": "the folder with VOC2012/: data/VOCdevkit",
            "sbd": "the folder with dataset/: data/VOCdevkit/VOCaug",
        },
        ("--workers", "--allow-partial"),
    ),
}


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, converter in CONVERTERS.items():
        own = names.add_parser(name, help=converter.help, description=converter.help)
        for folder, text in converter.folders.items():
            own.add_argument(folder, type=Path, help=text)
        if converter.out:
            own.add_argument("-o", "--out", type=Path, default=Path(converter.out), metavar="DIR")
        for flag in converter.options:
            own.add_argument(flag, **OPTIONS[flag])
    args = parser.parse_args()
    MMLogger.get_current_instance().info(CONVERTERS[args.name].convert(args))


if __name__ == "__main__":
    main()
