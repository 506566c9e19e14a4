"""A map as polygons: one layer whose edges are those of the pixels, or simplified."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.crs import CRS
from rasterio.features import shapes
from rasterio.windows import Window

from mmseg.files import cannot_be_written
from mmseg.raster.measure import row_windows
from mmseg.raster.options import VECTORS
from mmseg.raster.regions import Regions, RegionTable
from mmseg.raster.strips import FULL, START_AGAIN
from mmseg.raster.style import add_default_style
from mmseg.raster.vector_files import to_ground, write_layer

LAYER = "landcover"
ROWS = 256  # labelled at a time
FEATURES = 10_000  # written at a time
# The same map gives the same bytes: GDAL would note the time at which a GeoPackage was made.
NO_DATE = {"OGR_CURRENT_DATE": "1970-01-01T00:00:00.000Z"}
# Pixels are simplified in blocks of so many rows and columns. Edges between blocks are fixed.
BLOCK = 1024
OUTSIDE = -1  # the region beyond the raster
Polygons = Iterator[tuple[shapely.Geometry, int]]  # and the region of each


def write_polygons(
    target: Path,
    map_path: Path,
    confidence_path: Path,
    classes: Sequence[str],
    row_areas: np.ndarray,
    min_area: float,
    tolerance: float,
    style: str,
) -> None:
    """Write the regions of a map, at least `min_area` m2 large, as polygons.

    A `tolerance` of more than 0, in pixels, simplifies them. The areas written stay those of the
    pixels. `style` is a QML document, the default style of the layer in a GeoPackage.

    `confidence_path` is a raster of the probabilities of the map's classes, 0 to `FULL`.
    `row_areas` is the area in m2 of a pixel of each row. The raster of regions and the GeoPackage
    are files beside `target`, whose suffix is one of `VECTORS`. Raises `UserError` if the polygons
    cannot be written.
    """
    path, numbered = target.with_suffix(".gpkg"), target.with_suffix(".regions.tif")
    for file in (target, path, numbered):  # GDAL replaces no file that it cannot read
        file.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options(NO_DATE)
    try:
        regions = _find_regions(map_path, confidence_path, row_areas, min_area, numbered)
        with rasterio.open(numbered) as raster:
            polygons = _simplified(raster, tolerance) if tolerance else _exact(raster)
            _write(path, polygons, raster.crs, regions, classes)
        add_default_style(path, LAYER, style)
        # GDAL does not say if a part could not be written when it closed the file. It writes the
        # spatial index last.
        with closing(sqlite3.connect(path)) as database:
            query = f"SELECT count(*) FROM {LAYER} JOIN rtree_{LAYER}_geom ON fid = id"
            indexed, expected = database.execute(query).fetchone()[0], len(regions.areas) - 1
        if indexed != expected:
            raise OSError(f"{indexed} of {expected} polygons are in the file and its index")
        if target != path:
            _convert(path, target)
    except Exception as error:  # GDAL's own errors have no public base class
        raise cannot_be_written(target.name, error, START_AGAIN) from error
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(NO_DATE))


def _find_regions(
    map_path: Path, confidence_path: Path, row_areas: np.ndarray, min_area: float, target: Path
) -> Regions:
    """Find the regions of a map, and write the region of each pixel to `target`."""
    table = RegionTable()
    with rasterio.open(map_path) as ids, rasterio.open(confidence_path) as confidence:
        place = {name: ids.profile[name] for name in ("width", "height", "crs", "transform")}
        kind = {"driver": "GTiff", "compress": "deflate", "bigtiff": "if_safer", "dtype": "int32"}
        with rasterio.open(target, "w", count=1, **kind, **place) as labels:
            for window in row_windows(ids, ROWS):
                areas = row_areas[window.row_off : window.row_off + window.height]
                probabilities = confidence.read(1, window=window).astype(np.float32) / FULL
                found = table.add(ids.read(1, window=window), probabilities, areas)
                labels.write(found, 1, window=window)
    regions = table.regions(min_area)
    with rasterio.open(target, "r+") as labels:
        for window in row_windows(labels, ROWS):
            found = regions.of_label[labels.read(1, window=window)].astype(np.int32)
            labels.write(found, 1, window=window)
    return regions


def _write(
    path: Path, polygons: Polygons, crs: CRS, regions: Regions, classes: Sequence[str]
) -> None:
    while (batch := list(islice(polygons, FEATURES))) or not path.exists():
        ids = np.array([region for _, region in batch], np.int64)
        fields = {
            "class_id": regions.classes[ids].astype(np.int32),
            "class_name": np.array(classes, object)[regions.classes[ids]],
            "area_m2": regions.areas[ids],
            "confidence": regions.confidence[ids],
        }
        shapes = np.array([polygon for polygon, _ in batch], object)
        write_layer(path, shapes, fields, crs, LAYER, append=path.exists())


def _exact(raster: rasterio.DatasetReader) -> Polygons:
    """Yield (polygon, region) of each region of a raster of regions; those of 0 are left out."""
    for geometry, region in shapes(rasterio.band(raster, 1), transform=raster.transform):
        if region:
            yield shapely.geometry.shape(geometry), int(region)


def _simplified(raster: rasterio.DatasetReader, tolerance: float) -> Polygons:
    """Yield what `_exact` does, with fewer vertices; neighbours keep their common edges.

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
        ended = sorted(pending.keys() - going_on)
        parts = [pending.pop(region) for region in ended]
        whole = [p[0] if len(p) == 1 else shapely.coverage_union_all(p) for p in parts]
        placed = to_ground(whole, raster.transform)
        # A multi-polygon of one part is a polygon.
        yield from zip(shapely.get_geometry(placed, 0), ended, strict=True)


def _block(raster: rasterio.DatasetReader, top: int, left: int, tolerance: float) -> Polygons:
    """Yield (polygon in pixels of the raster, region) of the pieces in a block."""
    bottom, right = min(top + BLOCK, raster.height), min(left + BLOCK, raster.width)
    # Beyond the raster lies one more region, so that the border of the raster is an edge too.
    top, left = top or -1, left or -1
    bottom, right = bottom + (bottom == raster.height), right + (right == raster.width)
    window = Window(left, top, right - left, bottom - top)
    found = list(shapes(raster.read(1, window=window, boundless=True, fill_value=OUTSIDE)))
    exact = np.array([shapely.geometry.shape(shape) for shape, _ in found])
    # With a vertex at each corner of a pixel, neighbours have the same ones.
    dense = shapely.segmentize(exact, 1)
    pieces = shapely.coverage_simplify(dense, tolerance, simplify_boundary=False)
    pieces = shapely.transform(pieces, lambda at: np.rint(at) + np.array([left, top]))
    for piece, (_, region) in zip(pieces, found, strict=True):
        if region > 0:
            yield piece, int(region)


def _convert(source: Path, target: Path) -> None:
    """Copy the layer of a GeoPackage to a FlatGeobuf, GeoParquet or GeoJSON file, by its suffix.

    Features are streamed. GeoJSON is in degrees, as RFC 7946 wants it.
    """
    kind = target.suffix[1:]
    with pyogrio.open_arrow(source, layer=LAYER, use_pyarrow=kind == "parquet") as (meta, stream):
        name = meta["geometry_name"] or "wkb_geometry"
        if kind != "parquet":
            more = {"RFC7946": "YES"} if kind == "geojson" else {}
            place = {"geometry_name": name, "geometry_type": "Polygon", "crs": meta["crs"]}
            pyogrio.write_arrow(stream, target, layer=LAYER, driver=VECTORS[kind], **place, **more)
            return
        from pyarrow.parquet import ParquetWriter  # an extra of the project; GDAL's needs a plugin

        crs = CRS.from_user_input(meta["crs"]).to_dict(projjson=True)
        column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": crs}
        geo = {"version": "1.1.0", "primary_column": name, "columns": {name: column}}
        schema = stream.schema.with_metadata({"geo": json.dumps(geo)})
        with ParquetWriter(target, schema) as writer:
            for batch in stream:
                writer.write_batch(batch)
