"""Sizes on the ground: of a pixel, in metres and square metres, also for scenes in degrees."""

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

# The WGS 84 ellipsoid: semi-major axis in metres, flattening.
SEMI_MAJOR, FLATTENING = 6378137.0, 1 / 298.257223563
DEGREES = CRS.from_epsg(4326)


def row_areas(transform: Affine, crs: CRS, height: int, width: int) -> np.ndarray:
    """Return the area in m2 of a pixel of each row, float64 (height,).

    Projected scenes have the area of their plane. Pixels in degrees, or in web Mercator (whose
    plane is far from equal in area), have that of their cell on the ellipsoid.
    """
    if not _is_on_ellipsoid(crs):
        metres = crs.linear_units_factor[1]
        return np.full(height, abs(transform.determinant) * metres**2)
    middle = width / 2
    edges = np.arange(height + 1)
    _, latitudes = _to_degrees(transform, crs, np.full(height + 1, middle), edges)
    longitudes, _ = _to_degrees(
        transform, crs, np.array([middle, middle + 1]), np.full(2, height / 2)
    )
    return np.abs(np.diff(_area_to_equator(latitudes))) * abs(np.radians(np.diff(longitudes)[0]))


def ground_resolution(transform: Affine, crs: CRS, height: int, width: int) -> tuple[float, float]:
    """Return the height and width in metres of the pixel in the middle of the scene."""
    if not _is_on_ellipsoid(crs):
        metres = crs.linear_units_factor[1]
        return (
            float(np.hypot(transform.b, transform.e)) * metres,
            float(np.hypot(transform.a, transform.d)) * metres,
        )
    columns, rows = width / 2 + np.array([0, 1, 0]), height / 2 + np.array([0, 0, 1])
    longitudes, latitudes = _to_degrees(transform, crs, columns, rows)
    plane = CRS.from_string(f"+proj=laea +lat_0={latitudes[0]} +lon_0={longitudes[0]}")
    x, y = map(np.array, transform_points(DEGREES, plane, longitudes, latitudes))
    return float(np.hypot(x[2] - x[0], y[2] - y[0])), float(np.hypot(x[1] - x[0], y[1] - y[0]))


def _is_on_ellipsoid(crs: CRS) -> bool:
    return crs.is_geographic or crs.to_epsg() == 3857


def _to_degrees(
    transform: Affine, crs: CRS, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    x = transform.a * columns + transform.b * rows + transform.c
    y = transform.d * columns + transform.e * rows + transform.f
    longitudes, latitudes = transform_points(crs, DEGREES, x, y)
    return np.array(longitudes), np.array(latitudes)


def _area_to_equator(latitudes: np.ndarray) -> np.ndarray:
    """Area in m2 between the equator and each latitude (degrees), per radian of longitude.

    The integral of the ellipsoid's surface (Snyder, Map Projections: A Working Manual, eq. 3-12).
    """
    eccentricity = np.sqrt(FLATTENING * (2 - FLATTENING))
    sine = np.sin(np.radians(latitudes))
    semi_minor = SEMI_MAJOR * (1 - FLATTENING)
    term = sine / (1 - (eccentricity * sine) ** 2)
    return semi_minor**2 / 2 * (term + np.arctanh(eccentricity * sine) / eccentricity)
