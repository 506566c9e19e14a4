"""One layer and one table of the maps of many sheets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from mmengine.logging import MMLogger
from rasterio import Affine
from rasterio.transform import array_bounds

from mmseg.files import whole_file, write_whole
from mmseg.raster.cog import Frame, write_vrt
from mmseg.raster.mapping import SceneMap
from mmseg.raster.measure import add_areas
from mmseg.raster.style import qgis_style

NAME = "sheets"
# Sheets overlap if more than this share of their area does.
OVERLAP = 1e-6


def write_index(maps: Sequence[SceneMap], meta: Mapping) -> None:
    """Write the areas of several maps of a folder as one table, and a layer that shows them all.

    `meta` has `classes` and `palette`. The layer is a virtual raster (`sheets.landcover.vrt`) and a
    tile index of GDAL (`sheets.gti.gpkg`). Maps of several CRSs or pixel sizes have none.
    """
    out, classes, palette = maps[0].path.parent, list(meta["classes"]), list(meta["palette"])
    table = add_areas([each.areas for each in maps]).to_csv(classes)
    write_whole(out / f"{NAME}.areas.csv", table.encode())
    frames = []
    for each in maps:
        with rasterio.open(each.path) as raster:
            frames.append(Frame(raster.width, raster.height, raster.crs, raster.transform))
    first, logger = frames[0], MMLogger.get_current_instance()
    sides = np.array([(t.a, t.b, t.d, t.e) for t in (frame.transform for frame in frames)])
    is_alike = np.allclose(sides, sides[0], rtol=1e-6, atol=0)
    if first.crs is None or any(f.crs != first.crs for f in frames) or not is_alike:
        logger.warning(f"{out}: the maps differ in CRS or pixel size: no index of them is written")
        return
    names = [each.path.name for each in maps]
    _write_vrt(out, dict(zip(names, frames, strict=True)), classes, palette)
    boxes = shapely.box(*np.array([array_bounds(f.height, f.width, f.transform) for f in frames]).T)
    if shapely.area(boxes).sum() > shapely.union_all(boxes).area * (1 + OVERLAP):
        logger.warning(f"{out}: sheets overlap: {NAME}.areas.csv counts the overlaps twice")
    with whole_file(out / f"{NAME}.gti.gpkg") as part:
        pyogrio.raw.write(
            part,
            geometry=shapely.to_wkb(boxes),
            field_data=[np.array(names, object)],
            fields=["location"],
            geometry_type="Polygon",
            crs=first.crs.to_wkt(),
            driver="GPKG",
            layer="index",
        )


def _write_vrt(out: Path, frames: Mapping[str, Frame], classes: list, palette: list) -> None:
    first = next(iter(frames.values()))
    boxes = []
    for frame in frames.values():
        column, row = ~first.transform * (frame.transform.c, frame.transform.f)
        boxes.append((round(column, 3), round(row, 3), frame.width, frame.height))
    left, top = np.min(boxes, axis=0)[:2]
    right, bottom = (max(box[i] + box[i + 2] for box in boxes) for i in (0, 1))
    transform = first.transform * Affine.translation(left, top)
    whole = Frame(round(right - left), round(bottom - top), first.crs, transform)
    places = [(column - left, row - top, *size) for column, row, *size in boxes]
    tags = {f"CLASS_{index}": name for index, name in enumerate(classes)}
    with whole_file(out / f"{NAME}.landcover.vrt") as part:
        write_vrt(
            part, whole, dict(zip(frames, places, strict=True)), ["land cover"], tags, palette
        )
    style = qgis_style(dict(enumerate(classes)), palette)
    write_whole(out / f"{NAME}.landcover.qml", style.encode())
