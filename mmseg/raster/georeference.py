"""The place of a raster, and the size of its pixels on the ground, in metres and square metres."""

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

DEGREES = CRS.from_epsg(4326)


def row_areas(transform: Affine, crs: CRS, height: int, width: int) -> np.ndarray:
    """Return the area in m2 of a pixel of each row, float64 (height,).

    In a projected CRS, this is the area on its plane. In degrees, and in Mercator's projection
    (whose plane is far from equal in area), it is that of the row's middle pixel on the ellipsoid.
    """
    # A small pixel is a parallelogram on an equal-area plane, however the scene is turned.
    across, down = _sides(transform, crs, np.arange(height) + 0.5, width / 2, height / 2)
    return np.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0])


def ground_resolution(
    transform: Affine, crs: CRS | None, height: int, width: int
) -> tuple[float, float] | None:
    """Return the height and width in metres of the pixel in the middle of a raster.

    None means that nothing has an area on the ground: there is no transform, or no CRS on the
    Earth, as a local one.
    """
    if crs is None or not (crs.is_projected or crs.is_geographic) or transform.is_identity:
        return None
    row, column = np.array([height / 2]), np.array([width / 2])  # corners may lie beside the globe
    try:
        project(transform, crs, DEGREES, column, row)
        across, down = _sides(transform, crs, row, width / 2, height / 2)
    except Exception:  # GDAL's own errors have no public base class
        return None
    return float(np.hypot(*down[0])), float(np.hypot(*across[0]))


def project(
    transform: Affine, crs: CRS, other: CRS, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates (N,) in another CRS of pixels of a raster."""
    x, y = transform_points(crs, other, *(transform * (columns, rows)))
    return np.array(x), np.array(y)


def _sides(
    transform: Affine, crs: CRS, rows: np.ndarray, column: float, row: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sides of the pixels of a column, in metres, as vectors (N, 2): across and down.

    They lie on the plane of the CRS. In degrees and in Mercator's projection, they lie on an
    equal-area plane around (`column`, `row`).
    """
    if not (crs.is_geographic or crs.to_dict().get("proj") == "merc"):
        metres = crs.linear_units_factor[1]
        across, down = (transform.a, transform.d), (transform.b, transform.e)
        return np.full((len(rows), 2), across) * metres, np.full((len(rows), 2), down) * metres
    columns = np.repeat(column + np.array([-0.5, 0.5, 0, 0]), len(rows))
    offsets = np.repeat([0, 0, -0.5, 0.5], len(rows))
    longitudes, latitudes = project(transform, crs, DEGREES, columns, np.tile(rows, 4) + offsets)
    middle = np.array([column]), np.array([row])
    (longitude,), (latitude,) = project(transform, crs, DEGREES, *middle)
    plane = CRS.from_string(f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=WGS84")
    # A raster of the whole globe may reach over the poles by half a pixel.
    places = transform_points(DEGREES, plane, longitudes, np.clip(latitudes, -90, 90))
    left, right, top, bottom = np.column_stack(places).reshape(4, len(rows), 2)
    return right - left, bottom - top
