"""Where a raster is, and sizes of its pixels on the ground, in metres and square metres."""

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

# The WGS 84 ellipsoid: semi-major axis in metres, flattening.
SEMI_MAJOR, FLATTENING = 6378137.0, 1 / 298.257223563
DEGREES = CRS.from_epsg(4326)


def is_measurable(crs: CRS | None, transform: Affine, height: int, width: int) -> bool:
    """Tell whether a raster's place is known, so that areas on the ground can be told.

    It is not without a CRS or a transform, nor in a local CRS or on another planet.
    """
    if crs is None or not (crs.is_projected or crs.is_geographic) or transform.is_identity:
        return False
    try:  # in the middle: corners may lie beside the globe
        _to_degrees(transform, crs, np.array([width / 2]), np.array([height / 2]))
    except Exception:  # GDAL's own errors have no public base class
        return False
    return True


def places_in(
    pixels: np.ndarray, transform: Affine, crs: CRS, other_transform: Affine, other_crs: CRS
) -> np.ndarray:
    """Return where pixels (N, 2) of a raster lie in another one, in its pixels: columns, rows."""
    points = np.array([transform * tuple(pixel) for pixel in pixels])
    x, y = transform_points(crs, other_crs, *points.T)
    return np.array([~other_transform * point for point in zip(x, y, strict=True)])


def row_areas(transform: Affine, crs: CRS, height: int, width: int) -> np.ndarray:
    """Return the area in m2 of a pixel of each row, float64 (height,).

    Projected scenes have the area of their plane. Pixels in degrees, or in Mercator's projection
    (whose plane is far from equal in area), have that of the row's middle pixel on the ellipsoid.
    """
    if not _is_on_ellipsoid(crs):
        metres = crs.linear_units_factor[1]
        return np.full(height, abs(transform.determinant) * metres**2)
    # On Lambert's cylinder, whose coordinates are the longitude and the area to the equator, the
    # pixel is a parallelogram of its own area, however the scene is turned.
    rows, middle = np.arange(height), np.full(height, width / 2)
    longitude, latitude = _to_degrees(transform, crs, middle, rows)
    edges = []
    for column, row in ((middle + 1, rows), (middle, rows + 1)):
        other_longitude, other_latitude = _to_degrees(transform, crs, column, row)
        turn = (other_longitude - longitude + 180) % 360 - 180  # also over the date line
        edges.append(
            (np.radians(turn), _area_to_equator(other_latitude) - _area_to_equator(latitude))
        )
    (right_x, right_y), (down_x, down_y) = edges
    return np.abs(right_x * down_y - right_y * down_x)


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
    return crs.is_geographic or crs.to_dict().get("proj") == "merc"


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
