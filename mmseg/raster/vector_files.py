"""Vector files: polygons and points in the coordinates of a raster, read and written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from mmengine.logging import MMLogger
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points
from rasterio.warp import transform_bounds

from mmseg.errors import UserError, did_you_mean, reason

Bounds = tuple[float, float, float, float]  # west, south, east, north
# The parts into which an edge is divided that crosses the raster: reprojected, it is a curve.
PARTS = 1000


def read_polygons(
    path: str, crs: CRS, bounds: Bounds, layer: str | None = None, fields: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Read the parts of the polygons of a file that lie inside `bounds` of `crs`.

    All layers are read, or the one called `layer`; with `fields`, there must be one. Returns the
    polygons (N,), the number of the feature of each (N,), and for each field the values of all
    features. Broken geometries are mended and counted. Raises `UserError` for a file without
    polygons, CRS or fields.
    """
    parts, features, before = [], [], 0
    layers, values = _read(path, layer, fields)
    for source, shapes in layers:
        polygons, feature = _polygons(shapes, path)
        if len(polygons):
            with _placing(source, path) as known:
                laid, of = _lay(polygons, known, crs, bounds)
            parts.append(laid)
            features.append(feature[of] + before)
        before += len(shapes)
    if not parts:
        raise UserError(f"{path}: there are no polygons in it")
    return np.concatenate(parts), np.concatenate(features), values


def read_points(path: str, field: str, crs: CRS) -> tuple[np.ndarray, np.ndarray]:
    """Return the values (N,) of a field, and the places (2, N) in `crs`, of the points of a file.

    Raises `UserError` for a file without points, CRS or field.
    """
    layers, values = _read(path, None, [field])
    if not layers:
        raise UserError(f"{path}: there are no points in it")
    source, shapes = layers[0]
    is_point = shapely.get_type_id(shapes) == shapely.GeometryType.POINT
    for number in np.flatnonzero(~is_point | shapely.is_empty(shapes)):
        raise UserError(f"{path}: feature {number + 1} is no point; delete it")
    with _placing(source, path) as known:
        return values[0], shapely.get_coordinates(reproject(shapes, known, crs)).T


@contextmanager
def _placing(text: str | None, path: str) -> Iterator[CRS]:
    """Yield the CRS of a layer whose shapes are laid on the scene in the block."""
    if text is None:
        raise UserError(f"{path}: it has no CRS; set it in QGIS and save the layer again")
    try:
        yield CRS.from_user_input(text)
    except Exception as error:  # GDAL's own errors have no public base class
        raise UserError(f"{path}: cannot be laid on the scene ({reason(error)})") from error


def write_layer(
    path: Path, shapes: np.ndarray, fields: Mapping, crs: CRS, layer: str, **options: Any
) -> None:
    """Write polygons or points (N,) and their fields, each (N,), as a layer of a GeoPackage."""
    options = {"geometry_type": "Polygon", "crs": crs.to_wkt(), **options}
    data = shapely.to_wkb(shapes), [*fields.values()], [*fields]
    pyogrio.raw.write(path, *data, driver="GPKG", layer=layer, **options)


def reproject(shapes: Any, crs: CRS, other: CRS) -> Any:
    """Return a geometry or an array of them in another CRS."""
    return shapely.transform(
        shapes, lambda at: np.column_stack(transform_points(crs, other, *at.T))
    )


def to_ground(shapes: Any, transform: Affine) -> Any:
    """Return a geometry or an array of them, in columns and rows of a raster, in its CRS."""
    return shapely.transform(shapes, lambda at: np.column_stack(transform * tuple(at.T)))


def _read(path: str, layer: str | None, fields: Sequence[str]) -> tuple[list, list[np.ndarray]]:
    """Return CRS and shapes of each layer that has some, and the values of `fields`."""
    if {*"!;"} & {*path}:
        raise UserError(f"{path}: GDAL takes a name with ! or ; for an address: rename it")
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind]
        found = [pyogrio.raw.read(path, layer=name) for name in ([layer] if layer else layers)]
        found = [each for each in found if each[2] is not None and len(each[2])]
        shapes = [shapely.from_wkb(wkb) for _, _, wkb, _ in found]
    except Exception as error:  # of GDAL and of GEOS, for a damaged or unfinished file
        raise UserError(
            f"{path}: not a readable layer ({reason(error)}); is it still being written?"
        ) from error
    if fields and len(found) > 1:
        names = ", ".join(layers)
        raise UserError(f"{path}: it has the layers {names}: choose by --layer, or save one alone")
    columns = dict(zip(found[0][0]["fields"], found[0][3], strict=True)) if found else {}
    for name in fields if found else ():
        if name not in columns:
            guess, known = did_you_mean(name, columns), ", ".join(columns) or "none"
            raise UserError(f"{path}: it has no field {name!r}{guess}; its fields: {known}")
    kinds = [meta["crs"] for meta, *_ in found]
    return list(zip(kinds, shapes, strict=True)), [columns[name] for name in fields if found]


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
    turns = (-360, 0, 360) if source.is_geographic else (0,)
    turned = [shapely.transform(shapes, lambda xy, t=t: np.add(xy, (t, 0))) for t in turns]
    box = shapely.box(west, south, east, north)
    parts, of = _parts(shapely.intersection(np.concatenate(turned), box))
    of %= max(len(shapes), 1)
    if source != crs:
        parts = shapely.segmentize(parts, max(east - west, north - south) / PARTS)
        parts = reproject(parts, source, crs)
    if crs.is_geographic:
        middle = (bounds[0] + bounds[2]) / 2
        parts = shapely.transform(
            parts, lambda xy: xy - np.round((xy[:, :1] - middle) / 360) * (360, 0)
        )
    return parts, of
