"""Make a data set of scenes and polygons: make_dataset.py SCENE... --labels FILE --out DIR

python tools/make_dataset.py ortho.tif --labels labels.gpkg --class-field class --out data/mine
python tools/make_dataset.py images --masks masks --colours colours.csv --out data/mine
"""

import sys
from pathlib import Path

import common

from rich.console import Console

from mmseg.errors import one_line_errors
from mmseg.geodata import DatasetOptions, make_dataset
from mmseg.imagery import list_images

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".ecw", ".png", ".jpg", ".jpeg")
BASE = "segnext.tiny.512x512.landcover.40k_weight"


@one_line_errors
def main() -> None:
    parser = common.tool_parser(__doc__)
    add = parser.add_argument
    add("scenes", nargs="+", metavar="SCENE", help="rasters, or folders of them")
    add("--out", required=True, type=Path, metavar="DIR")
    add("--base", default=BASE, metavar="CONFIG", help="gives model and schedule")
    choices = {"unlabelled": ("background", "ignore"), "split": ("sheets", "blocks")}
    changes: dict[str, dict] = {name: {"choices": each} for name, each in choices.items()}
    kinds = {"block": {"type": common.positive_int}, "seed": {"type": common.seed}}
    area = {"flag": "--labelled-area"}
    common.add_fields(parser, DatasetOptions, area=area, **kinds, **changes)
    args = parser.parse_args()
    options = common.read_fields(args, DatasetOptions)
    scenes = list_images(args.scenes, SUFFIXES, recursive=False, keep_unknown=True)
    base = common.find_config(args.base)
    try:
        table = make_dataset(scenes, options, args.out, base, common.progress)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    Console().print(table)
    common.console.print(f"train with {args.out}/config.py; look at {args.out}/contact_sheet.png")


if __name__ == "__main__":
    main()
