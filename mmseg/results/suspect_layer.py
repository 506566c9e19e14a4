"""Suspects of georeferenced tiles as a layer for a GIS."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.errors import RasterioError
from rasterio.warp import transform_geom

from mmseg.files import whole_file
from mmseg.results.label_errors import Suspect


def write_suspect_layer(path: Path, suspects: Sequence[Suspect], classes: Sequence[str]) -> bool:
    """Write the outlines as polygons of a GeoPackage; return whether any image has a CRS.

    All are in the CRS of the first image. Images without one are left out.
    """
    shapes, kept, crs = [], [], None
    for each in suspects:
        try:
            with rasterio.open(each.image) as raster:
                own, place = raster.crs, raster.transform
        except RasterioError:
            continue
        if own is None or len(each.outline) < 3:
            continue
        crs = crs or own
        ring = np.array(place * (each.outline.T + 0.5)).T
        polygon = shapely.Polygon(ring)
        if own != crs:
            polygon = shapely.geometry.shape(transform_geom(own, crs, polygon))
        shapes.append(polygon)
        kept.append(each)
    if crs is None:
        return False
    fields = {
        "label": np.array([classes[each.label] for each in kept], object),
        "probably": np.array([classes[each.found] for each in kept], object),
        "score": np.array([each.score for each in kept]),
        "image": np.array([each.image for each in kept], object),
    }
    with whole_file(path) as part:
        pyogrio.raw.write(
            part,
            geometry=shapely.to_wkb(np.array(shapes, object)),
            field_data=list(fields.values()),
            fields=list(fields),
            geometry_type="Polygon",
            crs=crs.to_wkt(),
            driver="GPKG",
            layer="suspects",
        )
    return True
