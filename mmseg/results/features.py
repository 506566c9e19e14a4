"""Points and polygons in the vector files of a GIS."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from mmseg.errors import UserError, reason
from mmseg.files import whole_file


def read_features(
    path: str, field: str | None, crs: CRS, kinds: Sequence[str]
) -> tuple[list, np.ndarray]:
    """Return the values of a field and the geometries, moved to `crs`, of a file.

    Without a field, the values are numbers from 1. Raises `UserError` if the file cannot be read or
    has no CRS or no such field, or if a geometry is none of `kinds`, such as "Point".
    """
    try:
        meta, _, geometry, values = pyogrio.raw.read(path, columns=[field] if field else [])
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as {kinds[0].lower()}s ({reason(error)})"
        ) from error
    if field and not values:
        raise UserError(f"{path}: has no field {field!r}")
    if meta["crs"] is None:
        raise UserError(f"{path}: has no CRS; set it in your GIS")
    shapes = shapely.from_wkb(geometry)
    for number, shape in enumerate(shapes, start=1):
        if shape is None or shape.is_empty or shape.geom_type not in kinds:
            raise UserError(f"{path}: feature {number} is no {kinds[0].lower()}; delete it")
    source = CRS.from_user_input(meta["crs"])
    names = list(values[0]) if field else list(range(1, len(shapes) + 1))
    return names, moved(shapes, source, crs)


def moved(shapes: Any, source: CRS, target: CRS) -> Any:
    """Return a geometry or an array of them in another CRS."""
    return shapely.transform(
        shapes, lambda xy: np.column_stack(transform_points(source, target, *xy.T))
    )


def write_features(
    path: Path, shapes: np.ndarray, fields: Mapping[str, np.ndarray], crs: CRS, layer: str
) -> None:
    """Write shapes of one kind and their fields as a layer of a GeoPackage."""
    with whole_file(path) as part:
        pyogrio.raw.write(
            part,
            geometry=shapely.to_wkb(shapes),
            field_data=list(fields.values()),
            fields=list(fields),
            geometry_type=shapes[0].geom_type,
            crs=crs.to_wkt(),
            driver="GPKG",
            layer=layer,
        )
