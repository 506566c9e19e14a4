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
from mmseg.raster.measure import row_windows
from mmseg.raster.regions import Regions, RegionTable
from mmseg.raster.simplify import simplified_polygons
from mmseg.raster.style import add_default_style
from mmseg.raster.unfinished import START_AGAIN

LAYER = "landcover"
ROWS = 256  # labelled at a time
FEATURES = 10_000  # written at a time
# The same map gives the same bytes: GDAL would note the time at which a GeoPackage was made.
NO_DATE = {"OGR_CURRENT_DATE": "1970-01-01T00:00:00.000Z"}


def write_polygons(
    path: Path,
    map_path: Path,
    confidence_path: Path,
    classes: Sequence[str],
    row_areas: np.ndarray,
    min_area: float,
    tolerance: float,
    style: str,
) -> None:
    """Write the regions of a map, at least `min_area` m2 large, as the layer of a GeoPackage.

    A `tolerance` of more than 0, in pixels, simplifies them. The areas written stay those of the
    pixels. `style` is a QML document, the default style of the layer.

    `confidence_path` is a raster of the probabilities of the map's classes, 0 to `FULL`.
    `row_areas` is the area in m2 of a pixel of each row. The raster of regions is a file beside
    `path`. Raises `UserError` if the GeoPackage cannot be written.
    """
    numbered = path.with_suffix(".regions.tif")
    for file in (path, numbered):  # GDAL replaces no file that it cannot read
        file.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options(NO_DATE)
    try:
        regions = _find_regions(map_path, confidence_path, row_areas, min_area, numbered)
        with rasterio.open(numbered) as raster:
            polygons = simplified_polygons(raster, tolerance) if tolerance else _polygons(raster)
            _write(path, polygons, raster.crs.to_wkt(), regions, classes)
        add_default_style(path, LAYER, style)
        # GDAL does not say if a part could not be written when it closed the file.
        indexed, expected = _indexed(path), len(regions.areas) - 1
        if indexed != expected:
            raise OSError(f"{indexed} of {expected} polygons are in the file and its index")
    except Exception as error:  # GDAL's own errors have no public base class
        raise cannot_be_written(path.name, error, START_AGAIN) from error
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(NO_DATE))


def _find_regions(
    map_path: Path, confidence_path: Path, row_areas: np.ndarray, min_area: float, target: Path
) -> Regions:
    """Find the regions of a map, and write the region of each pixel to `target`."""
    table = RegionTable()
    with rasterio.open(map_path) as ids, rasterio.open(confidence_path) as confidence:
        profile = {"driver": "GTiff", "compress": "deflate", "bigtiff": "if_safer"}
        place = {"crs": ids.crs, "transform": ids.transform}
        size = {"width": ids.width, "height": ids.height, "count": 1, "dtype": "int32"}
        with rasterio.open(target, "w", **profile, **place, **size) as labels:
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
    path: Path,
    polygons: Iterator[tuple[bytes, int]],
    crs: str,
    regions: Regions,
    classes: Sequence[str],
) -> None:
    is_first = True
    while (batch := list(islice(polygons, FEATURES))) or is_first:
        ids = np.array([region for _, region in batch], np.int64)
        fields = {
            "class_id": regions.classes[ids].astype(np.int32),
            "class_name": np.array(classes, object)[regions.classes[ids]],
            "area_m2": regions.areas[ids],
            "confidence": regions.confidence[ids],
        }
        pyogrio.raw.write(
            path,
            geometry=np.array([polygon for polygon, _ in batch], object),
            field_data=list(fields.values()),
            fields=list(fields),
            geometry_type="Polygon",
            crs=crs,
            driver="GPKG",
            layer=LAYER,
            append=not is_first,
        )
        is_first = False


def _polygons(raster: rasterio.DatasetReader) -> Iterator[tuple[bytes, int]]:
    """Yield (WKB, region) of each region that is mapped."""
    for geometry, region in shapes(rasterio.band(raster, 1), transform=raster.transform):
        if region:
            yield shapely.to_wkb(shapely.geometry.shape(geometry)), int(region)


def _indexed(path: Path) -> int:
    """Count the polygons in the spatial index of a GeoPackage, which GDAL writes last."""
    query = f"SELECT count(*) FROM {LAYER} JOIN rtree_{LAYER}_geom ON fid = id"
    with closing(sqlite3.connect(path)) as database, suppress(sqlite3.Error):
        return database.execute(query).fetchone()[0]
    return 0
