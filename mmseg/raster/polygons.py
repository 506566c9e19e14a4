"""A map as polygons: one GeoPackage layer whose edges are those of the pixels."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.features import shapes

from mmseg.files import cannot_be_written
from mmseg.raster.cog import FULL
from mmseg.raster.regions import Regions, RegionTable
from mmseg.raster.strips import START_AGAIN
from mmseg.raster.windows import row_windows

LAYER = "landcover"
ROWS = 256  # labelled at a time
FEATURES = 10_000  # written at a time
FIELDS = ("class_id", "class_name", "area_m2", "confidence")
# GDAL notes when a GeoPackage was made: the same map is to give the same bytes.
NO_DATE = {"OGR_CURRENT_DATE": "1970-01-01T00:00:00.000Z"}


def write_polygons(
    path: Path,
    map_path: Path,
    confidence_path: Path,
    classes: Sequence[str],
    row_areas: np.ndarray,
    min_area: float,
) -> None:
    """Write the regions of a map, at least `min_area` m2 large, as the layer of a GeoPackage.

    `confidence_path` is a raster of the probabilities of the map's classes, 0 to `FULL`;
    `row_areas` are the m2 of a pixel of each row. Labels are kept in files beside `path`.
    """
    labels, numbered = path.with_suffix(".labels.tif"), path.with_suffix(".regions.tif")
    for file in (path, labels, numbered):  # GDAL replaces no file that it cannot read
        file.unlink(missing_ok=True)
    regions = _label(map_path, confidence_path, row_areas, labels).regions(min_area)
    _renumber(labels, numbered, regions)
    pyogrio.set_gdal_config_options(NO_DATE)
    try:
        _write(path, numbered, regions, classes)
        # GDAL keeps silent about what it could not write when it closed a file.
        indexed, expected = _indexed(path), len(regions.areas) - 1
        if indexed != expected:
            raise OSError(f"{indexed} of {expected} polygons are in the file and its index")
    except Exception as error:  # GDAL's own errors have no public base class
        raise cannot_be_written(path.name, error, START_AGAIN) from error
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(NO_DATE))


def _label(
    map_path: Path, confidence_path: Path, row_areas: np.ndarray, target: Path
) -> RegionTable:
    table = RegionTable()
    with (
        rasterio.open(map_path) as ids,
        rasterio.open(confidence_path) as confidence,
        rasterio.open(target, "w", **_profile(ids)) as labels,
    ):
        for window in row_windows(ids, ROWS):
            rows = slice(window.row_off, window.row_off + window.height)
            probabilities = confidence.read(1, window=window).astype(np.float32) / FULL
            found = table.add(ids.read(1, window=window), probabilities, row_areas[rows])
            labels.write(found, 1, window=window)
    return table


def _renumber(source: Path, target: Path, regions: Regions) -> None:
    with rasterio.open(source) as labels, rasterio.open(target, "w", **_profile(labels)) as ids:
        for window in row_windows(labels, ROWS):
            found = regions.of_label[labels.read(1, window=window)]
            ids.write(found.astype(np.int32), 1, window=window)


def _write(path: Path, numbered: Path, regions: Regions, classes: Sequence[str]) -> None:
    names = np.array(classes, dtype=object)
    with rasterio.open(numbered) as raster:
        found = _polygons(raster)
        first = True
        while (batch := list(islice(found, FEATURES))) or first:
            ids = np.array([region for _, region in batch], np.int64)
            class_ids = regions.classes[ids]
            pyogrio.raw.write(
                path,
                geometry=np.array([polygon for polygon, _ in batch], dtype=object),
                field_data=[
                    class_ids.astype(np.int32),
                    names[class_ids],
                    regions.areas[ids],
                    regions.confidence[ids],
                ],
                fields=list(FIELDS),
                geometry_type="Polygon",
                crs=raster.crs.to_wkt(),
                driver="GPKG",
                layer=LAYER,
                append=not first,
            )
            first = False


def _indexed(path: Path) -> int:
    """Return how many polygons a GeoPackage finds by its spatial index, which it writes last."""
    query = f"SELECT count(*) FROM {LAYER} JOIN rtree_{LAYER}_geom ON fid = id"
    with closing(sqlite3.connect(path)) as database, suppress(sqlite3.Error):
        return database.execute(query).fetchone()[0]
    return 0


def _polygons(raster: rasterio.DatasetReader) -> Iterator[tuple[bytes, int]]:
    """Yield (WKB, region) of each region that is mapped."""
    for geometry, region in shapes(rasterio.band(raster, 1), transform=raster.transform):
        if region:
            yield shapely.to_wkb(shapely.geometry.shape(geometry)), int(region)


def _profile(like: rasterio.DatasetReader) -> dict:
    place = {"crs": like.crs, "transform": like.transform}
    size = {"width": like.width, "height": like.height, "count": 1, "dtype": "int32"}
    return {"driver": "GTiff", "compress": "deflate", "bigtiff": "if_safer", **size, **place}
