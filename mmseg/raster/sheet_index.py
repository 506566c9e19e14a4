"""One layer and one table of the maps of many sheets."""

from collections.abc import Mapping, Sequence

import numpy as np
import rasterio
import shapely
from mmengine.logging import MMLogger
from rasterio import Affine

from mmseg.files import whole_file, write_whole
from mmseg.raster.mapping import SceneMap
from mmseg.raster.measure import add_areas
from mmseg.raster.strips import write_vrt
from mmseg.raster.style import qgis_style
from mmseg.raster.vector_files import to_ground, write_layer

# Sheets overlap if more than this share of their area does.
OVERLAP = 1e-6


def write_index(maps: Sequence[SceneMap], meta: Mapping) -> None:
    """Write the areas of several maps of a folder as one table, and a layer that shows them all.

    `meta` has `classes` and `palette`. The layer is a virtual raster (`sheets.landcover.vrt`) and a
    tile index of GDAL (`sheets.gti.gpkg`). Maps of several CRSs or pixel sizes have none.
    """
    out, classes, palette = maps[0].path.parent, list(meta["classes"]), list(meta["palette"])
    table = add_areas([each.areas for each in maps]).to_csv(classes)
    write_whole(out / "sheets.areas.csv", table.encode())
    names, places, logger = [each.path.name for each in maps], [], MMLogger.get_current_instance()
    for each in maps:
        with rasterio.open(each.path) as raster:
            places.append((raster.crs, raster.transform, raster.shape))
    crs, grid, _ = places[0]
    sides = np.array([(at.a, at.b, at.d, at.e) for _, at, _ in places])
    is_alike = np.allclose(sides, sides[0], rtol=1e-6, atol=0)
    if crs is None or any(other != crs for other, *_ in places) or not is_alike:
        logger.warning(f"{out}: the maps differ in CRS or pixel size: no index of them is written")
        return
    # First column and row of each map, and their ends, in pixels of the first map.
    starts = np.array([~grid * (at.c, at.f) for _, at, _ in places]).round(3)
    ends = starts + [shape[::-1] for *_, shape in places]
    boxes = shapely.box(*starts.T, *ends.T)
    if shapely.area(boxes).sum() > shapely.union_all(boxes).area * (1 + OVERLAP):
        logger.warning(f"{out}: sheets overlap: sheets.areas.csv counts the overlaps twice")
    left, top = starts.min(0)
    width, height = np.rint(ends.max(0) - (left, top)).astype(int).tolist()
    place = {"crs": crs, "transform": grid * Affine.translation(left, top)}
    moved = np.column_stack([starts - (left, top), ends - starts]).tolist()
    tags = {f"CLASS_{index}": name for index, name in enumerate(classes)}
    with whole_file(out / "sheets.landcover.vrt") as part:
        boxes_of = dict(zip(names, moved, strict=True))
        write_vrt(part, (height, width), place, boxes_of, ["land cover"], tags, palette)
    style = qgis_style(dict(enumerate(classes)), palette)
    write_whole(out / "sheets.landcover.qml", style.encode())
    with whole_file(out / "sheets.gti.gpkg") as part:
        places_of = {"location": np.array(names, object)}
        write_layer(part, to_ground(boxes, grid), places_of, crs, "index")
