"""Estimate the area of each class of a map, with 95 % intervals, from a reference sample.

python tools/estimate_areas.py MAP --sample --out points.gpkg
python tools/estimate_areas.py MAP --reference points.gpkg

The first command draws random points. Fill in their field `reference` by interpreting imagery, then
run the second.
"""

import argparse
import sys
from pathlib import Path

from common import positive_int, tool_parser

import numpy as np
from mmengine.logging import MMLogger

from mmseg.errors import UserError, one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.files import write_whole
from mmseg.results.area_sample import (
    NODATA,
    ClassMap,
    draw_points,
    read_points,
    values_at,
    write_points,
)
from mmseg.results.areas import Z, area_csv, estimate, sample_sizes

SQUARE_METRES = 10_000  # in a hectare


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument("map", help="the .landcover.tif of tools/map_orthophoto.py")
    parser.add_argument("--reference", metavar="POINTS.gpkg|MASK.tif", help="the true classes")
    parser.add_argument(
        "--sample",
        nargs="?",
        type=positive_int,
        const=True,
        metavar="N",
        help="draw N points; without N as many as the two flags below ask for",
    )
    parser.add_argument(
        "--expected-accuracy", type=float, default=0.85, help="the user's accuracy to expect"
    )
    parser.add_argument(
        "--standard-error", type=float, default=0.01, help="of the overall accuracy, as wanted"
    )
    parser.add_argument("--least", type=positive_int, default=50, help="points in each class")
    parser.add_argument(
        "--strata", metavar="RASTER", help="strata of the sample, if not the classes of the map"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="points.gpkg, or areas.csv (beside the map)")
    return parser.parse_args()


@one_line_errors
def main() -> None:
    args = parse_args()
    if args.reference is None:
        if not args.sample or args.out is None:
            raise UserError("give --reference FILE, or --sample with --out POINTS.gpkg")
        strata = ClassMap(args.strata or args.map)
        table = strata.rows_of_classes()
        points = draw_points(strata, table, sizes(args, table), args.seed)
        write_points(args.out, strata, *points)
        print(f"{args.out}: {len(points[0])} points; fill in the field reference of each")
        return
    is_mask = Path(args.reference).suffix.lower() in (".tif", ".tiff", ".vrt")
    mask = args.reference if is_mask else None
    mapped, strata = ClassMap(args.map, mask), ClassMap(args.strata or args.map, mask)
    table = strata.rows_of_classes()
    if is_mask:
        rows, columns = draw_points(strata, table, sizes(args, table), args.seed)
        reference = values_at(args.reference, rows, columns)
        warn("the areas are of the part that the mask covers; its points are drawn at random")
    else:
        rows, columns, reference, unknown = read_points(args.reference, mapped)
        if unknown:
            warn(f"{unknown} points have no interpretation and are left out")
    report(args, mapped, table, rows, columns, reference)


def sizes(args: argparse.Namespace, table: np.ndarray) -> np.ndarray:
    if not 0 < args.expected_accuracy < 1 or not 0 < args.standard_error < 1:
        raise UserError("--expected-accuracy and --standard-error lie between 0 and 1")
    total = None if args.sample in (None, True) else args.sample
    shares = table.sum(1) / table.sum()
    return sample_sizes(shares, args.expected_accuracy, args.standard_error, args.least, total)


def report(
    args: argparse.Namespace,
    mapped: ClassMap,
    table: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    reference: np.ndarray,
) -> None:
    """Print the estimates and write them as CSV."""
    ids = values_at(args.map, rows, columns)
    strata = values_at(args.strata or args.map, rows, columns)
    inside = (ids != NODATA) & (strata != NODATA)
    if not inside.all():
        warn(f"{(~inside).sum()} points lie where nothing is mapped and are left out")
    wrong = reference[inside][reference[inside] >= len(mapped.classes)]
    if len(wrong):
        raise UserError(f"{args.reference}: {wrong[0]} is no class of the map")
    areas = table.sum(1) / SQUARE_METRES
    points = strata[inside], ids[inside], reference[inside]
    result = estimate(*points, areas / areas.sum(), len(mapped.classes))
    in_map = mapped.rows_of_classes().sum(1) / SQUARE_METRES
    text = area_csv(mapped.classes, areas.sum(), in_map, result)
    out = args.out or Path(args.map).with_suffix(".estimate.csv")
    write_whole(out, text.encode())
    lines = [line.split(",") for line in text.splitlines()]
    print(render_table(lines[0][1:7], [line[1:7] for line in lines[1:]]))
    overall, error = (float(each[0]) for each in result.overall)
    print(f"overall accuracy {overall:.4f} +- {Z * error:.4f} (95 %), n = {inside.sum()}; {out}")


def warn(text: str) -> None:
    MMLogger.get_current_instance().warning(text)


if __name__ == "__main__":
    sys.exit(main())
