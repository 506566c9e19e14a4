"""The looks of a map: a style file for QGIS, and a picture."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

import numpy as np
import rasterio

from mmseg.imagery.pictures import Palette, colorize, legend, side_by_side
from mmseg.raster.cog import NODATA
from mmseg.raster.scene import Scene

PREVIEW = 1024  # the longest side of each picture, in pixels
LEGEND = 120  # the least width of the legend
QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.0" styleCategories="Symbology"><pipe>\
<rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">\
<colorPalette>{}</colorPalette></rasterrenderer></pipe></qgis>"""


def qgis_style(classes: Sequence[str], palette: Palette) -> str:
    """Return a QML document that paints class ids in the palette and names the classes."""
    entries = [
        f'<paletteEntry value="{index}" color="#{red:02x}{green:02x}{blue:02x}" alpha="255" '
        f"label={quoteattr(name)} />"
        for index, (name, (red, green, blue)) in enumerate(zip(classes, palette, strict=True))
    ]
    return QML.format("".join(entries))


def preview(scene: Scene, map_path: str, classes: Sequence[str], palette: Palette) -> np.ndarray:
    """Return the scene, its map and the legend side by side, uint8 RGB (h, w, 3)."""
    image = scene.overview(PREVIEW)
    with rasterio.open(map_path) as raster:
        ids = raster.read(1, out_shape=image.shape[:2])  # from the overviews
    found = [index for index in np.unique(ids) if index < len(classes)]
    key = legend([classes[i] for i in found], [palette[i] for i in found], LEGEND)
    picture = np.where((ids == NODATA)[..., None], np.uint8(255), colorize(ids, palette))
    return side_by_side([image, picture, key])
