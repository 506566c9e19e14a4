"""Estimate the area of each class of a map, with 95 % intervals, from a reference sample.

python tools/estimate_areas.py MAP --sample --out points.gpkg
python tools/estimate_areas.py MAP --reference points.gpkg

The first command draws random points. Fill in their field `reference` by interpreting imagery, then
run the second.
"""

import argparse
from pathlib import Path

from common import positive_int, tool_parser

import numpy as np
import shapely
from mmengine.logging import MMLogger

from mmseg.errors import UserError, one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.files import whole_file
from mmseg.raster.vector_files import read_points, write_layer
from mmseg.results import areas
from mmseg.results.class_map import NODATA, ClassMap, values_at
from mmseg.results.tables import write_csv

FIELD = "reference"
warn = MMLogger.get_current_instance().warning


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
    if args.reference is not None:
        return report(args)
    if args.sample is None or args.out is None:
        raise UserError("give --reference FILE, or --sample with --out POINTS.gpkg")
    if args.out.exists():
        raise UserError(f"{args.out}: exists, and may hold interpretations; name another file")
    strata = ClassMap(args.strata or args.map)
    points = shapely.points(draw(args, strata).T)
    fields = {"point": np.arange(len(points)), FIELD: np.full(len(points), None, object)}
    with whole_file(args.out) as part:
        write_layer(part, points, fields, strata.crs, "reference", geometry_type="Point")
    print(f"{args.out}: {len(points)} points; fill in the field {FIELD} of each")


def draw(args: argparse.Namespace, strata: ClassMap) -> np.ndarray:
    if not 0 < args.expected_accuracy < 1 or not 0 < args.standard_error < 1:
        raise UserError("--expected-accuracy and --standard-error lie between 0 and 1")
    shares = strata.hectares / strata.hectares.sum()
    asked = args.expected_accuracy, args.standard_error, args.least
    sizes = areas.sample_sizes(shares, *asked, args.sample or 0)
    return areas.draw_points(strata, sizes, args.seed)


def report(args: argparse.Namespace) -> None:
    """Print the estimates and write them as CSV."""
    is_mask = Path(args.reference).suffix.lower() in (".tif", ".tiff", ".vrt")
    mask = args.reference if is_mask else None
    mapped, strata = ClassMap(args.map, mask), ClassMap(args.strata or args.map, mask)
    if is_mask:
        places = draw(args, strata)
        reference = values_at(args.reference, strata.crs, places)
        warn("the areas are of the part that the mask covers; its points are drawn at random")
    else:
        texts, places = read_points(args.reference, FIELD, strata.crs)
        known = np.array([text not in (None, "") and text == text for text in texts], bool)
        if not known.all():
            warn(f"{(~known).sum()} points have no interpretation and are left out")
        reference = areas.class_ids(texts[known].tolist(), mapped.classes, args.reference)
        places = places[:, known]
    ids, own = (values_at(each.path, strata.crs, places) for each in (mapped, strata))
    inside = (ids != NODATA) & (own != NODATA)
    if not inside.all():
        warn(f"{(~inside).sum()} points lie where nothing is mapped and are left out")
    for wrong in reference[inside & ~np.isin(reference, range(len(mapped.classes)))]:
        raise UserError(f"{args.reference}: {wrong} is no class of the map")
    whole = strata.hectares.sum()
    sample = own[inside], ids[inside], reference[inside]
    found = areas.estimate(*sample, strata.hectares / whole, len(mapped.classes))
    rows = areas.area_rows(mapped.classes, mapped.hectares, whole, found)
    out = args.out or Path(args.map).with_suffix(".estimate.csv")
    write_csv(out, areas.COLUMNS, rows)
    print(render_table(areas.COLUMNS[1:7], [row[1:7] for row in rows]))
    overall, error = (float(each[0]) for each in found["overall"])
    error *= areas.Z
    print(f"overall accuracy {overall:.4f} +- {error:.4f} (95 %), n = {inside.sum()}; {out}")


if __name__ == "__main__":
    main()
