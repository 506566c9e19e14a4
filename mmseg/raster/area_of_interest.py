"""Areas of interest, from files of polygons."""

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.transform import array_bounds
from rasterio.warp import transform_geom

from mmseg.errors import UserError, reason


class AreaOfInterest:
    """The polygons of a vector file, in the coordinates of a scene."""

    def __init__(self, path: str, crs: CRS | None) -> None:
        if crs is None:
            raise UserError(f"{path}: the place of the scene is unknown; leave the area out")
        try:
            meta, _, geometries, _ = pyogrio.raw.read(path, columns=[])
        except (DataSourceError, DataLayerError) as error:
            raise UserError(f"{path}: not a readable file of polygons ({reason(error)})") from error
        # A table has rows but no geometries.
        known = shapely.from_wkb([] if geometries is None else geometries)
        shapes = [shape for shape in known if shape is not None and shape.area > 0]
        if not shapes:
            raise UserError(f"{path}: there are no polygons in it")
        if meta["crs"] is None:
            raise UserError(f"{path}: it has no CRS; write the polygons with one")
        source = CRS.from_user_input(meta["crs"])
        try:
            self.shapes = [transform_geom(source, crs, shapely.geometry.mapping(s)) for s in shapes]
        except Exception as error:  # GDAL's own errors have no public base class
            raise UserError(f"{path}: cannot be laid on the scene ({reason(error)})") from error

    def touches(self, transform: Affine, height: int, width: int) -> bool:
        """Tell whether the box around a polygon reaches into a scene."""
        scene = shapely.box(*array_bounds(height, width, transform))
        return any(
            shapely.box(*shapely.geometry.shape(s).bounds).intersects(scene) for s in self.shapes
        )

    def mask(self, transform: Affine, height: int, width: int) -> np.ndarray:
        """Tell which pixels of a piece of the scene have their centre inside, bool (H, W)."""
        return geometry_mask(self.shapes, (height, width), transform, invert=True)
