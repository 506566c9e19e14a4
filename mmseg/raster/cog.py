"""Cloud Optimized GeoTIFFs from strips, through a virtual raster that joins them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import rasterio
import rasterio.shutil
from rasterio import Affine
from rasterio.enums import ColorInterp

from mmseg.files import cannot_be_written
from mmseg.imagery.pictures import Palette
from mmseg.raster.unfinished import START_AGAIN

NODATA = 255
# The uint8 of a probability of one; 255 is nodata.
FULL = 254
SOURCE = """<ComplexSource><SourceFilename relativeToVRT="1">{}</SourceFilename>\
<SourceBand>{}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{w}" ySize="{h}" />\
<DstRect xOff="{}" yOff="{}" xSize="{w}" ySize="{h}" /><NODATA>255</NODATA></ComplexSource>"""


class Frame(NamedTuple):
    """The size and the place of a raster, with ground control points and RPCs if it has some."""

    width: int
    height: int
    crs: Any
    transform: Affine
    gcps: Any = None
    rpcs: Any = None


def write_vrt(
    path: Path,
    frame: Frame,
    boxes: Mapping[str, Sequence[float]],
    bands: Sequence[str],
    tags: Mapping[str, str],
    palette: Palette | None = None,
) -> None:
    """Write a virtual raster of uint8 files beside `path`, at the place of `frame` if it has one.

    `boxes` gives column, row, width and height of each file in the frame, `bands` the names of the
    bands. The values are class ids with the colours of `palette`; without it, probabilities, 0 to
    `FULL`. Where files overlap, the last one that has a value counts.
    """
    text = f'<VRTDataset rasterXSize="{frame.width}" rasterYSize="{frame.height}">'
    for band in range(1, len(bands) + 1):
        text += f'<VRTRasterBand dataType="Byte" band="{band}">'
        for name, (left, top, width, height) in boxes.items():
            text += SOURCE.format(escape(name), band, left, top, w=width, h=height)
        text += "</VRTRasterBand>"
    path.write_text(text + "</VRTDataset>")
    with rasterio.open(path, "r+") as raster:
        if frame.crs is not None:
            raster.crs = frame.crs
        if not frame.transform.is_identity:
            raster.transform = frame.transform
        if frame.gcps and frame.gcps[0]:
            raster.gcps = frame.gcps
        if frame.rpcs:
            raster.rpcs = frame.rpcs
        raster.nodata = NODATA
        raster.descriptions = bands
        raster.update_tags(**tags)
        if palette is None:
            raster.scales = [1 / FULL] * raster.count
            raster.colorinterp = [ColorInterp.gray] * raster.count
        else:
            raster.write_colormap(1, dict(enumerate(map(tuple, palette))))


def write_cog(source: Path, target: Path, overviews: str) -> None:
    """Copy a raster as COG, its overviews resampled by `overviews` (MODE or AVERAGE).

    Raises `UserError` if it cannot be written, for example if the disk is full.
    """
    options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": 512, "BIGTIFF": "IF_SAFER"}
    try:
        rasterio.shutil.copy(source, target, driver="COG", OVERVIEW_RESAMPLING=overviews, **options)
        # GDAL does not say if a part could not be written when it closed the file.
        with rasterio.open(target) as raster:
            for _, window in raster.block_windows(1):
                raster.read(window=window)
    except Exception as error:  # GDAL's own errors have no public base class
        raise cannot_be_written(target.name, error, START_AGAIN) from error
