"""Show what changed between two maps: python tools/change_map.py MAP_A MAP_B --out DIR

Writes <out>/change.tif, the pairs of classes, change.csv with the hectares of each pair, and with
--zones change.zones.csv with those of each polygon.
"""

from pathlib import Path

from common import progress, tool_parser

import numpy as np
from rasterio.transform import array_bounds

from mmseg.errors import UserError, one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.files import make_writable
from mmseg.raster.vector_files import read_polygons
from mmseg.results.class_map import HEADER, ChangeMap, ClassMap
from mmseg.results.tables import write_csv


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    add = parser.add_argument
    add("map_a", help="the earlier .landcover.tif of tools/map_orthophoto.py")
    add("map_b", help="the later one")
    add("--out", required=True, type=Path, metavar="DIR")
    add("--zones", metavar="FILE", help="polygons; hectares also in each of them")
    add("--zone-field", nargs=1, default=[], metavar="NAME", help="field with the zones' names")
    args = parser.parse_args()
    if args.zone_field and not args.zones:
        raise UserError("--zone-field names a field of --zones: give that too")
    make_writable(args.out)
    before = ClassMap(args.map_a)
    change = ChangeMap(before, ClassMap(args.map_b))
    if args.zones:
        bounds, fields = array_bounds(*before.shape, before.transform), args.zone_field
        parts, zone_of, names = read_polygons(args.zones, before.crs, bounds, fields=fields)
    path = args.out / "change.tif"
    rows = list(change.rows(change.write(path)))
    write_csv(args.out / "change.csv", HEADER, rows)
    if args.zones:
        table = [
            [names[0][zone] if names else zone + 1, *row]
            for zone in progress(np.unique(zone_of), "zones")
            for row in change.rows(change.measure(path, parts[zone_of == zone].tolist()))
        ]
        write_csv(args.out / "change.zones.csv", ["zone", *HEADER], table)
    print(render_table(HEADER, rows, title=str(path)))


if __name__ == "__main__":
    main()
