"""Make a data set of scenes and polygons: make_dataset.py SCENE... --labels FILE --out DIR

python tools/make_dataset.py ortho.tif --labels labels.gpkg --class-field class --out data/mine
python tools/make_dataset.py images --masks masks --colours colours.csv --out data/mine
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from common import console, find_config, positive_int, progress, seed, tool_parser

from rich.console import Console

from mmseg.errors import one_line_errors
from mmseg.geodata import DatasetOptions, make_dataset
from mmseg.imagery import list_images

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".ecw", ".png", ".jpg", ".jpeg")
BASE = "segnext.tiny.512x512.landcover.40k_weight"


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument("scenes", nargs="+", metavar="SCENE", help="rasters, or folders of them")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    parser.add_argument("--labels", metavar="FILE", help="polygons: GeoPackage, GeoJSON, Shapefile")
    parser.add_argument("--class-field", metavar="NAME", help="the field that names the class")
    parser.add_argument("--layer", metavar="NAME", help="of a file of several layers")
    parser.add_argument(
        "--order", metavar="FIELD", help="its highest value wins where they overlap"
    )
    parser.add_argument(
        "--labelled-area", dest="area", metavar="FILE", help="polygons; the rest is ignored"
    )
    parser.add_argument("--unlabelled", choices=("background", "ignore"))
    parser.add_argument("--masks", metavar="DIR", help="masks with the scenes' names, of ids")
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="the names of the ids, from 0")
    parser.add_argument("--colours", metavar="FILE", help="CSV or JSON; the masks are colours")
    parser.add_argument("--nearest", action="store_true", help="take the nearest colour (JPEG)")
    parser.add_argument("--bands", nargs="+", metavar="NAME", help="the scenes' bands, in order")
    parser.add_argument("--nodata", type=float, help="value of pixels without image")
    parser.add_argument("--size", type=positive_int, help="pixels on a side of a tile (512)")
    parser.add_argument("--split", choices=("sheets", "blocks"), help="what no two splits share")
    parser.add_argument("--block", type=positive_int, help="pixels on a side of a block (2048)")
    parser.add_argument("--val", type=float, help="share of the validation (0.15)")
    parser.add_argument("--test", type=float, help="share of the test (0.15)")
    parser.add_argument("--seed", type=seed, help="of the choice of blocks")
    parser.add_argument("--base", default=BASE, metavar="CONFIG", help="gives model and schedule")
    parser.set_defaults(**{f.name: f.default for f in fields(DatasetOptions)})
    return parser.parse_args()


@one_line_errors
def main() -> None:
    args = parse_args()
    options = DatasetOptions(**{f.name: getattr(args, f.name) for f in fields(DatasetOptions)})
    scenes = list_images(args.scenes, SUFFIXES, recursive=False, keep_unknown=True)
    try:
        table = make_dataset(scenes, options, args.out, find_config(args.base), progress)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    Console().print(table)
    console.print(f"train with {args.out}/config.py; look at {args.out}/contact_sheet.png")


if __name__ == "__main__":
    main()
