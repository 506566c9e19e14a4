"""What changed between two maps: a raster of pairs of classes, and the hectares of each pair."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rasterio
import shapely
from rasterio.errors import WindowError
from rasterio.features import geometry_mask, geometry_window
from rasterio.windows import Window

from mmseg.errors import UserError
from mmseg.files import whole_file, write_whole
from mmseg.raster.measure import ROWS, count_areas
from mmseg.raster.strips import write_cog
from mmseg.raster.style import add_attribute_table, qgis_style
from mmseg.results.class_map import NODATA, ClassMap, aligned_blocks

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
        self.pairs = [(one, two) for one in before.classes for two in after.classes]

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
        names = {int(k): " -> ".join(self.pairs[k]) for k in found}
        palette = self._palette(found)
        measures = {"Pixels": table[0][found].astype(int), "Hectares": table[1][found]}
        path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)
        add_attribute_table(path, names, palette, measures)
        write_whole(path.with_suffix(".qml"), qgis_style(names, palette).encode())
        return table

    def measure(self, path: Path, zone: Sequence[shapely.Polygon] = ()) -> np.ndarray:
        """Return pixels and hectares of each pair, float64 (2, pairs), in polygons or everywhere.

        `zone` is in the CRS of the maps. A pixel belongs to it by its middle.
        """
        total = np.zeros((2, len(self.pairs)))
        with rasterio.open(path) as raster:
            around = Window(0, 0, raster.width, raster.height)
            if zone:
                try:
                    around = geometry_window(raster, zone)
                except WindowError:  # the zone lies beside the raster
                    return total
            bottom = around.row_off + around.height
            for top in range(around.row_off, bottom, ROWS):
                rows = min(ROWS, bottom - top)
                window = Window(around.col_off, top, around.width, rows)
                pairs = raster.read(1, window=window)
                if zone:
                    place = raster.window_transform(window)
                    pairs[geometry_mask(zone, pairs.shape, place)] = NO_PAIR
                total += count_areas([(top, pairs)], self.before.row_hectares, len(total[0]))
        return total

    def rows(self, table: np.ndarray) -> Iterator[list]:
        """Yield the cells of `HEADER` for each pair that occurs, the largest first."""
        for k in sorted(np.flatnonzero(table[0]), key=lambda k: -table[1, k]):
            ids, names = divmod(int(k), len(self.after.classes)), self.pairs[k]
            cells = [ids[0], names[0], ids[1], names[1]]
            yield [*cells, int(table[0, k]), f"{table[1, k]:.4f}"]

    def _write_pairs(self, path: Path) -> None:
        height, width = self.before.shape
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "nodata": NO_PAIR}
        profile |= {"height": height, "width": width, "compress": "deflate", "bigtiff": "if_safer"}
        profile |= {"crs": self.before.crs, "transform": self.before.transform}
        with rasterio.open(path, "w", **profile) as target:
            for top, one, two in aligned_blocks(self.before.path, self.after.path):
                pairs = one * len(self.after.classes) + two
                pairs[(one == NODATA) | (two == NODATA)] = NO_PAIR
                window = Window(0, top, width, len(pairs))
                target.write(pairs.astype(np.uint16), 1, window=window)

    def _palette(self, found: np.ndarray) -> list[tuple[int, ...]]:
        """Give each pair the colour of its second class, a pale one if its name stays."""
        with rasterio.open(self.after.path) as raster:
            colours = raster.colormap(1) if raster.colorinterp[0].name == "palette" else {}
        palette = []
        for k in found:
            white = PALE if len(set(self.pairs[k])) == 1 else 0.0
            colour = colours.get(k % len(self.after.classes), GREY)[:3]
            palette.append(tuple(round(c + (255 - c) * white) for c in colour))
        return palette
