"""Estimate the area of each class of a map, with 95 % intervals, from a reference sample.

python tools/estimate_areas.py MAP --sample --out points.gpkg
python tools/estimate_areas.py MAP --reference points.gpkg

The first command draws random points. Fill in their field `reference` by interpreting imagery, then
run the second.
"""

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
MASKS = (".tif", ".tiff", ".vrt")


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__, "--seed")
    add = parser.add_argument
    add("map", help="the .landcover.tif of tools/map_orthophoto.py")
    add("--reference", metavar="POINTS.gpkg|MASK.tif", help="the true classes")
    text = "draw N points; without N as many as the two flags below ask for"
    add("--sample", nargs="?", type=positive_int, const=0, metavar="N", help=text)
    add("--expected-accuracy", type=float, default=0.85, help="the user's accuracy to expect")
    add("--standard-error", type=float, default=0.01, help="of the overall accuracy, as wanted")
    add("--least", type=positive_int, default=50, help="points in each class")
    add("--strata", metavar="RASTER", help="strata of the sample, if not the classes of the map")
    add("--out", type=Path, help="points.gpkg, or areas.csv (beside the map)")
    args = parser.parse_args()
    args.strata = args.strata or args.map
    if not 0 < args.expected_accuracy < 1 or not 0 < args.standard_error < 1:
        raise UserError("--expected-accuracy and --standard-error lie between 0 and 1")
    if args.reference is None and (args.sample is None or args.out is None):
        raise UserError("give --reference FILE, or --sample with --out POINTS.gpkg")
    mask = args.reference if Path(args.reference or "").suffix.lower() in MASKS else None
    mapped = ClassMap(args.map, mask)
    strata = ClassMap(args.strata, mask) if args.strata != args.map else mapped
    table = strata.rows_of_classes()
    if args.reference is None or mask:
        aims = args.expected_accuracy, args.standard_error, args.least, args.sample or None
        sizes = sample_sizes(table.sum(1) / table.sum(), *aims)
        rows, columns = draw_points(strata, table, sizes, args.seed)
    if args.reference is None:
        write_points(args.out, strata, rows, columns)
        print(f"{args.out}: {len(rows)} points; fill in the field reference of each")
        return
    if mask:
        reference = values_at(mask, rows, columns)
        warn("the areas are of the part that the mask covers; its points are drawn at random")
    else:
        rows, columns, reference, unknown = read_points(args.reference, mapped)
        if unknown:
            warn(f"{unknown} points have no interpretation and are left out")
    report(args, mapped, table, np.stack([rows, columns]), reference)


def report(
    args, mapped: ClassMap, table: np.ndarray, places: np.ndarray, reference: np.ndarray
) -> None:
    """Print the estimates and write them as CSV."""
    points = np.stack([values_at(args.strata, *places), values_at(args.map, *places), reference])
    inside = (points[:2] != NODATA).all(axis=0)
    if not inside.all():
        warn(f"{(~inside).sum()} points lie where nothing is mapped and are left out")
    strata, ids, reference = points[:, inside]
    if len(wrong := reference[reference >= len(mapped.classes)]):
        raise UserError(f"{args.reference}: {wrong[0]} is no class of the map")
    areas = table.sum(1) / SQUARE_METRES
    result = estimate(strata, ids, reference, areas / areas.sum(), len(mapped.classes))
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
    main()
