"""Regions of a map as polygons with fewer vertices, whose neighbours keep one common edge."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import rasterio
import shapely
from rasterio.features import shapes
from rasterio.windows import Window

# Pixels are simplified in blocks of so many rows and columns. Edges between blocks are fixed.
BLOCK = 1024
OUTSIDE = -1  # the region beyond the raster


def simplified_polygons(
    raster: rasterio.DatasetReader, tolerance: float
) -> Iterator[tuple[bytes, int]]:
    """Yield (WKB, region) of each region of a raster of regions; those of 0 are left out.

    The algorithm of Visvalingam and Whyatt takes away vertices that span less than about the square
    of `tolerance`, in pixels, for all regions of a block at a time (`shapely.coverage_simplify`).
    Pieces of a region are joined as soon as it ends. Memory holds a row of blocks and the vertices
    of the regions that go on below it.
    """
    pending: dict[int, list[shapely.Geometry]] = defaultdict(list)
    for top in range(0, raster.height, BLOCK):
        for left in range(0, raster.width, BLOCK):
            for piece, region in _block(raster, top, left, tolerance):
                pending[region].append(piece)
        end = min(top + BLOCK, raster.height)
        last = raster.read(1, window=Window(0, end - 1, raster.width, 1))
        going_on = set(np.unique(last).tolist()) if end < raster.height else set()
        for region in sorted(pending.keys() - going_on):
            polygon = shapely.coverage_union_all(pending.pop(region))
            placed = shapely.transform(
                polygon, lambda at: np.column_stack(raster.transform * (at[:, 0], at[:, 1]))
            )
            # A multi-polygon of one part is a polygon.
            yield shapely.to_wkb(shapely.get_geometry(placed, 0)), region


def _block(
    raster: rasterio.DatasetReader, top: int, left: int, tolerance: float
) -> Iterator[tuple[shapely.Geometry, int]]:
    """Yield (polygon in pixels of the raster, region) of the pieces in a block."""
    height, width = min(BLOCK, raster.height - top), min(BLOCK, raster.width - left)
    frame = Window(left - 1, top - 1, width + 2, height + 2)
    around = raster.read(1, window=frame, boundless=True, fill_value=OUTSIDE)
    found = list(shapes(np.ascontiguousarray(around[1:-1, 1:-1]), connectivity=4))
    exact = np.array([shapely.geometry.shape(shape) for shape, _ in found])
    pieces = shapely.coverage_simplify(
        _noded(exact, _corners(around)), tolerance, simplify_boundary=False
    )
    pieces = shapely.transform(pieces, lambda at: at + np.array([left, top]))
    for piece, (_, region) in zip(pieces, found, strict=True):
        if region:
            yield piece, int(region)


def _corners(around: np.ndarray) -> np.ndarray:
    """Tell which corners of pixels are vertices, bool (H + 1, W + 1), for regions (H + 2, W + 2).

    These are all but those inside a region and those on a straight edge between two of them. On the
    edge of the block they are also those where edges of regions cross it.
    """
    a, b, c, d = around[:-1, :-1], around[:-1, 1:], around[1:, :-1], around[1:, 1:]
    beside, below = (a == b) & (c == d), (a == c) & (b == d)
    corners = ~(beside | below)
    corners[[0, -1]] |= ~beside[[0, -1]]
    corners[:, [0, -1]] |= ~below[:, [0, -1]]
    corners[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    return corners


def _noded(polygons: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return polygons with a vertex at each of the `corners`, where neighbours may have one."""
    dense = shapely.segmentize(polygons, 1)
    rings, polygon_of = shapely.get_rings(dense, return_index=True)
    at, ring_of = shapely.get_coordinates(rings, return_index=True)
    at = np.rint(at)
    columns, rows = at.astype(int).T
    kept = corners[rows, columns]
    rings = shapely.linearrings(at[kept], indices=ring_of[kept])  # closes them
    return shapely.polygons(rings, indices=polygon_of)
