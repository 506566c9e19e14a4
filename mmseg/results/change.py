"""What changed between two maps: a raster of pairs of classes, and the hectares of each pair."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from mmengine.logging import MMLogger
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import WindowError
from rasterio.features import geometry_mask, geometry_window
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_geom
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from mmseg.errors import UserError, reason
from mmseg.files import whole_file, write_whole
from mmseg.raster.measure import ROWS, row_windows
from mmseg.raster.strips import write_cog
from mmseg.raster.style import add_attribute_table, qgis_style
from mmseg.results.area_sample import NODATA, ClassMap

NO_PAIR = 65535
PALE = 0.75  # the share of white in the colour of a class that stays
GREY = (128, 128, 128)  # of a class without a colour
HEADER = ["from_id", "from", "to_id", "to", "pixels", "hectares"]


class ChangeMap:
    """Two maps on the pixels of the first one. The other is resampled to them (nearest pixel).

    A pair of classes has the value `first * number of classes of the second + second`.
    """

    def __init__(self, before: ClassMap, after: ClassMap) -> None:
        self.before, self.after = before, after
        pairs = [(one, two) for one in before.classes for two in after.classes]
        self.names = [f"{one} -> {two}" for one, two in pairs]

    def write(self, path: Path) -> np.ndarray:
        """Write the pairs as COG with attribute table and QGIS style; return `measure` of them."""
        with whole_file(path) as part:
            pairs = part.with_suffix(".pairs.tif")
            try:
                self._write_pairs(pairs)
                table = self.measure(pairs)
                if not table[0].any():
                    raise UserError(f"{self.after.path}: shares no mapped pixel with the first map")
                write_cog(pairs, part, "MODE")
            finally:
                pairs.unlink(missing_ok=True)
        found = np.flatnonzero(table[0])
        names, palette = {int(k): self.names[k] for k in found}, self._palette(found)
        measures = {"Pixels": table[0][found].astype(int), "Hectares": table[1][found]}
        path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)
        add_attribute_table(path, names, palette, measures)
        write_whole(path.with_suffix(".qml"), qgis_style(names, palette).encode())
        return table

    def measure(self, path: Path, zone: dict | None = None) -> np.ndarray:
        """Return pixels and hectares of each pair, float64 (2, pairs), in a polygon or everywhere.

        `zone` is a GeoJSON geometry in the CRS of the maps. A pixel belongs to it by its middle.
        """
        total = np.zeros((2, len(self.names)))
        with rasterio.open(path) as raster:
            for window in _windows(raster, zone):
                pairs = raster.read(1, window=window)
                inside = pairs != NO_PAIR
                if zone is not None:
                    place = window_transform(window, raster.transform)
                    inside &= geometry_mask([zone], pairs.shape, place, invert=True)
                rows = self.before.areas[window.row_off : window.row_off + window.height]
                areas = np.broadcast_to(rows[:, None] / 10_000, pairs.shape)[inside]
                for kind, weights in enumerate((None, areas)):
                    total[kind] += np.bincount(pairs[inside], weights, len(self.names))
        return total

    def rows(self, table: np.ndarray) -> Iterator[list]:
        """Yield the cells of `HEADER` for each pair that occurs, the largest first."""
        for pair in sorted(np.flatnonzero(table[0]), key=lambda k: -table[1, k]):
            one, two = divmod(int(pair), len(self.after.classes))
            names = self.before.classes[one], self.after.classes[two]
            yield [one, names[0], two, names[1], int(table[0, pair]), f"{table[1, pair]:.4f}"]

    def _write_pairs(self, path: Path) -> None:
        place = {"crs": self.before.crs, "transform": self.before.transform}
        height, width = self.before.shape
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "nodata": NO_PAIR}
        profile |= {"height": height, "width": width, "compress": "deflate", "bigtiff": "if_safer"}
        with (
            rasterio.open(self.before.path) as first,
            rasterio.open(self.after.path) as second,
            WarpedVRT(
                second, **place, height=height, width=width, src_nodata=NODATA, nodata=NODATA
            ) as other,
            rasterio.open(path, "w", **profile, **place) as target,
        ):
            for window in row_windows(first):
                one, two = (r.read(1, window=window).astype(np.uint16) for r in (first, other))
                pairs = one * np.uint16(len(self.after.classes)) + two
                pairs[(one == NODATA) | (two == NODATA)] = NO_PAIR
                target.write(pairs, 1, window=window)

    def _palette(self, pairs: np.ndarray) -> list[tuple[int, ...]]:
        """Give each pair the colour of its second class, a pale one if its name stays."""
        with rasterio.open(self.after.path) as raster:
            colours = raster.colormap(1) if raster.colorinterp[0].name == "palette" else {}
        palette = []
        for one, two in (divmod(int(pair), len(self.after.classes)) for pair in pairs):
            stays = self.before.classes[one] == self.after.classes[two]
            white = PALE if stays else 0.0
            colour = colours.get(two, GREY)[:3]
            palette.append(tuple(round(c + (255 - c) * white) for c in colour))
        return palette


def _windows(raster: rasterio.DatasetReader, zone: dict | None) -> Iterator[Window]:
    if zone is None:
        yield from row_windows(raster)
        return
    try:
        around = geometry_window(raster, [zone])
    except WindowError:  # the zone lies beside the raster
        return
    for top in range(around.row_off, around.row_off + around.height, ROWS):
        bottom = min(top + ROWS, around.row_off + around.height)
        yield Window(around.col_off, top, around.width, bottom - top)


def read_zones(path: str, field: str | None, target: ClassMap) -> list[tuple[str, dict]]:
    """Read the name and the GeoJSON geometry, in the CRS of a map, of each polygon of a file.

    The name is the value of `field`, or else the number of the polygon from 1. Raises `UserError`
    if the file cannot be read or has no CRS.
    """
    try:
        meta, _, geometry, values = pyogrio.raw.read(path, columns=[field] if field else [])
    except (DataSourceError, DataLayerError) as error:
        raise UserError(f"{path}: cannot be read as polygons ({reason(error)})") from error
    if meta["crs"] is None:
        raise UserError(f"{path}: has no CRS; set it in your GIS")
    if field and not values:
        raise UserError(f"{path}: has no field {field!r}")
    names = values[0] if field else range(1, len(geometry) + 1)
    zones = []
    for name, shape in zip(names, shapely.from_wkb(geometry), strict=True):
        if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
            MMLogger.get_current_instance().warning(f"{path}: zone {name} is no polygon")
            continue
        placed = transform_geom(meta["crs"], target.crs, shapely.geometry.mapping(shape))
        zones.append((str(name), placed))
    return zones


def to_csv(header: list[str], rows: list[list]) -> bytes:
    """Return a table as UTF-8 text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()
