"""Polygons of vector files, in the coordinates of a raster."""

from collections.abc import Sequence

import numpy as np
import pyogrio
import shapely
from mmengine.logging import MMLogger
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points
from rasterio.warp import transform_bounds

from mmseg.errors import UserError, did_you_mean, reason

Bounds = tuple[float, float, float, float]  # west, south, east, north
# The parts into which an edge is divided that crosses the raster: reprojected, it is a curve.
PARTS = 1000
TURNS = (-360, 0, 360)


def read_polygons(
    path: str, crs: CRS, bounds: Bounds, layer: str | None = None, fields: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Read the parts of the polygons of a file that lie inside `bounds` of `crs`.

    All layers are read, or the one called `layer`; with `fields`, there must be one. Returns the
    polygons (N,), the number of the feature of each (N,), and for each field the values of all
    features. Broken geometries are mended and counted. Raises `UserError` for a file without
    polygons, CRS or fields.
    """
    if {*"!;"} & {*path}:
        raise UserError(f"{path}: GDAL takes a name with ! or ; for an address: rename it")
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind]
        chosen = [layer] if layer else layers
        found = [pyogrio.raw.read(path, layer=name) for name in chosen]
        shapes = [shapely.from_wkb([] if wkb is None else wkb) for _, _, wkb, _ in found]
    except Exception as error:  # of GDAL and of GEOS, for a damaged or unfinished file
        raise UserError(
            f"{path}: not a readable layer ({reason(error)}); is it still being written?"
        ) from error
    if fields and len(chosen) > 1:
        raise UserError(f"{path}: it has the layers {', '.join(layers)}: choose by --layer")
    facts = zip((meta["crs"] for meta, *_ in found), shapes, strict=True)
    whole = [(source, *_polygons(of_layer, path)) for source, of_layer in facts]
    whole = [each for each in whole if len(each[1])]
    if not whole:
        raise UserError(f"{path}: there are no polygons in it")
    if any(source is None for source, *_ in whole):
        raise UserError(f"{path}: it has no CRS; set it in QGIS and save the layer again")
    parts, features = [], []
    for source, polygons, feature in whole:
        try:
            laid, of = _lay(polygons, CRS.from_user_input(source), crs, bounds)
        except Exception as error:  # GDAL's own errors have no public base class
            raise UserError(f"{path}: cannot be laid on the scene ({reason(error)})") from error
        parts.append(laid)
        features.append(feature[of])
    columns = dict(zip(found[0][0]["fields"], found[0][3], strict=True))
    for name in fields:
        if name not in columns:
            guess, known = did_you_mean(name, columns), ", ".join(columns) or "none"
            raise UserError(f"{path}: it has no field {name!r}{guess}; its fields: {known}")
    return np.concatenate(parts), np.concatenate(features), [columns[name] for name in fields]


def _polygons(shapes: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return valid polygons, and the feature that each comes from; log what was mended or left."""
    logger = MMLogger.get_current_instance()
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if broken := (there & ~shapely.is_valid(shapes)).sum():
        logger.warning(f"{path}: {broken} of {len(shapes)} geometries are invalid; they are mended")
    polygons, features = _parts(shapely.make_valid(shapely.force_2d(shapes)))
    if left := len(shapes) - len(np.unique(features)):
        logger.warning(f"{path}: {left} of {len(shapes)} features have no area; they are left out")
    return polygons, features


def _parts(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the polygons in geometries of any kind, and the geometry that each comes from."""
    parts, origin = shapely.get_parts(shapes, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)  # multipolygons in collections
    kept = shapely.area(parts) > 0
    return parts[kept], origin[inner][kept]


def _lay(
    shapes: np.ndarray, source: CRS, crs: CRS, bounds: Bounds
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of polygons inside `bounds`, reprojected, and the polygon of each."""
    west, south, east, north = transform_bounds(crs, source, *bounds, densify_pts=PARTS)
    east += 360 if east < west else 0  # over the date line
    # A longitude is also the one that is a turn before or after.
    turns = TURNS if source.is_geographic else (0,)
    turned = [shapely.transform(shapes, lambda xy, t=t: np.add(xy, (t, 0))) for t in turns]
    box = shapely.box(west, south, east, north)
    parts, of = _parts(shapely.intersection(np.concatenate(turned), box))
    of %= max(len(shapes), 1)
    if source != crs:
        parts = shapely.segmentize(parts, max(east - west, north - south) / PARTS)
        parts = shapely.transform(
            parts, lambda xy: np.column_stack(transform_points(source, crs, *xy.T))
        )
    if crs.is_geographic:
        middle = (bounds[0] + bounds[2]) / 2
        parts = shapely.transform(
            parts, lambda xy: xy - np.round((xy[:, :1] - middle) / 360) * (360, 0)
        )
    return parts, of
