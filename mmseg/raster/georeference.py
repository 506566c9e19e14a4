"""The place of a raster, and the size of its pixels on the ground, in metres and square metres."""

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

DEGREES = CRS.from_epsg(4326)
# Lambert's cylinder: areas on this plane are those on the WGS 84 ellipsoid (Snyder, Map
# Projections: A Working Manual, eq. 10-13 to 10-15).
EQUAL_AREA = CRS.from_string("+proj=cea +datum=WGS84")
CIRCUMFERENCE = 2 * np.pi * 6378137  # its width, in metres: the equator


def is_measurable(crs: CRS | None, transform: Affine, height: int, width: int) -> bool:
    """Tell whether areas on the ground can be computed.

    That needs a transform and a CRS on the Earth, not a local one.
    """
    if crs is None or not (crs.is_projected or crs.is_geographic) or transform.is_identity:
        return False
    try:  # with the pixel in the middle: corners may lie beside the globe
        project(transform, crs, DEGREES, np.array([width / 2]), np.array([height / 2]))
    except Exception:  # GDAL's own errors have no public base class
        return False
    return True


def row_areas(transform: Affine, crs: CRS, height: int, width: int) -> np.ndarray:
    """Return the area in m2 of a pixel of each row, float64 (height,).

    In a projected CRS, this is the area on its plane. In degrees, and in Mercator's projection
    (whose plane is far from equal in area), it is that of the row's middle pixel on the ellipsoid.
    """
    if not _is_on_ellipsoid(crs):
        metres = crs.linear_units_factor[1]
        return np.full(height, abs(transform.determinant) * metres**2)
    # A small pixel is a parallelogram on the equal-area plane, however the scene is turned.
    rows, middle = np.arange(height), np.full(height, width / 2)
    edges = []
    x, y = _to_equal_area(transform, crs, middle, rows)
    for column, row in ((middle + 1, rows), (middle, rows + 1)):
        other_x, other_y = _to_equal_area(transform, crs, column, row)
        # The short way round, over the date line too.
        turn = (other_x - x + CIRCUMFERENCE / 2) % CIRCUMFERENCE - CIRCUMFERENCE / 2
        edges.append((turn, other_y - y))
    (right_x, right_y), (down_x, down_y) = edges
    return np.abs(right_x * down_y - right_y * down_x)


def ground_resolution(transform: Affine, crs: CRS, height: int, width: int) -> tuple[float, float]:
    """Return the height and width in metres of the pixel in the middle of the scene."""
    if not _is_on_ellipsoid(crs):
        metres = crs.linear_units_factor[1]
        down, across = np.hypot([transform.b, transform.a], [transform.e, transform.d]) * metres
        return float(down), float(across)
    columns, rows = width / 2 + np.array([0, 1, 0]), height / 2 + np.array([0, 0, 1])
    longitudes, latitudes = project(transform, crs, DEGREES, columns, rows)
    plane = CRS.from_string(f"+proj=laea +lat_0={latitudes[0]} +lon_0={longitudes[0]}")
    x, y = project(transform, crs, plane, columns, rows)
    across, down = np.hypot(x[1:] - x[0], y[1:] - y[0])
    return float(down), float(across)


def _is_on_ellipsoid(crs: CRS) -> bool:
    return crs.is_geographic or crs.to_dict().get("proj") == "merc"


def _to_equal_area(
    transform: Affine, crs: CRS, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates of pixels on the plane of `EQUAL_AREA`, in metres."""
    longitudes, latitudes = project(transform, crs, DEGREES, columns, rows)
    # A raster of the whole globe may reach over the poles by half a pixel.
    x, y = transform_points(DEGREES, EQUAL_AREA, longitudes, np.clip(latitudes, -90, 90))
    return np.array(x), np.array(y)


def project(
    transform: Affine, crs: CRS, other: CRS, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates (N,) in another CRS of pixels of a raster."""
    x, y = transform_points(crs, other, *(transform * (columns, rows)))
    return np.array(x), np.array(y)
