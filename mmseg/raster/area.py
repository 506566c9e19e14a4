"""The area of interest: polygons of a vector file, laid on a scene."""

import os

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.warp import transform as transform_points
from rasterio.warp import transform_bounds

from mmseg.errors import UserError, reason

# The parts into which an edge is divided that crosses the scene: reprojected, it becomes a curve.
PARTS = 1000
TURNS = (-360, 0, 360)


class AreaOfInterest:
    """The polygons of all layers of a file, in the coordinates of a scene.

    `crs` is that of the scene, and `box` are its west, south, east and north. `shapes` is empty if
    the polygons lie elsewhere.
    """

    def __init__(self, path: str, crs: CRS | None, box: tuple[float, float, float, float]) -> None:
        if crs is None:
            raise UserError(f"{path}: the place of the scene is unknown; leave the area out")
        # pyogrio takes a name with "!" or ";" for an archive or an address, but not this one.
        is_odd = {*"!;"} & {*str(path)} and os.path.isfile(path)
        file = f"/vsisubfile/0,{os.path.abspath(path)}" if is_odd else path
        try:  # A layer without a kind of geometry is a table.
            names = [name for name, kind in pyogrio.list_layers(file) if kind]
            layers = [pyogrio.raw.read(file, layer=name, columns=[]) for name in names]
            found = [(meta["crs"], _polygons(shapely.from_wkb(wkb))) for meta, _, wkb, _ in layers]
        except (DataSourceError, DataLayerError, shapely.errors.ShapelyError) as error:
            raise UserError(f"{path}: not a readable file of polygons ({reason(error)})") from error
        found = [(source, shapes) for source, shapes in found if len(shapes)]
        if not found:
            raise UserError(f"{path}: there are no polygons in it")
        if not all(source for source, _ in found):
            raise UserError(f"{path}: it has no CRS; write the polygons with one")
        try:
            laid = [_lay(shapes, CRS.from_user_input(source), crs, box) for source, shapes in found]
        except Exception as error:  # GDAL's own errors have no public base class
            raise UserError(f"{path}: cannot be laid on the scene ({reason(error)})") from error
        self.shapes = [shapely.geometry.mapping(shape) for shape in np.concatenate(laid)]

    def mask(self, transform: Affine, height: int, width: int) -> np.ndarray:
        """Tell which pixels of a piece of the scene have their centre inside, bool (H, W)."""
        if not self.shapes:
            return np.zeros((height, width), bool)
        return geometry_mask(self.shapes, (height, width), transform, invert=True)


def _polygons(shapes: np.ndarray) -> np.ndarray:
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shapely.force_2d(shapes))))
    return parts[shapely.area(parts) > 0]


def _lay(
    shapes: np.ndarray, source: CRS, crs: CRS, box: tuple[float, float, float, float]
) -> np.ndarray:
    """Return the parts of polygons around `box`, from the CRS `source` to that of the scene."""
    west, south, east, north = transform_bounds(crs, source, *box, densify_pts=PARTS)
    east += 360 if east < west else 0  # over the date line
    if source.is_geographic:  # A longitude is also the one that is a turn before or after.
        turned = [shapely.transform(shapes, lambda xy, t=t: np.add(xy, (t, 0))) for t in TURNS]
        shapes = np.concatenate(turned)
    shapes = _polygons(shapely.intersection(shapes, shapely.box(west, south, east, north)))
    shapes = shapely.segmentize(shapes, max(east - west, north - south) / PARTS)
    laid = shapely.transform(
        shapes, lambda xy: np.column_stack(transform_points(source, crs, *xy.T))
    )
    if not crs.is_geographic:
        return laid
    middle = (box[0] + box[2]) / 2
    return shapely.transform(laid, lambda xy: xy - np.round((xy[:, :1] - middle) / 360) * (360, 0))
