"""Cloud Optimized GeoTIFFs from strips, through a virtual raster that joins them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as xml

import rasterio
import rasterio.shutil
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from mmseg.errors import UserError, reason
from mmseg.raster.unfinished import START_AGAIN

NODATA = 255
# The uint8 of a probability of one; 255 is nodata.
FULL = 254


@dataclass(frozen=True)
class Style:
    """The description of a raster's values; `palette` is (R, G, B) per class id."""

    bands: Sequence[str]
    tags: Mapping[str, str] = field(default_factory=dict)
    palette: Sequence[Sequence[int]] | None = None
    scale: float | None = None


@dataclass(frozen=True)
class Strip:
    """Rows `top` to `bottom` of a raster, in a file of their own."""

    path: Path
    top: int
    bottom: int


def write_vrt(
    path: Path,
    strips: Sequence[Strip],
    width: int,
    transform: Affine,
    crs: CRS | None,
    style: Style,
) -> None:
    """Write a virtual raster of uint8 strips, at the place of the scene if it has one."""
    size = {"rasterXSize": str(width), "rasterYSize": str(strips[-1].bottom)}
    root = xml.Element("VRTDataset", size)
    for number in range(1, len(style.bands) + 1):
        band = xml.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(number))
        for strip in strips:
            _add_source(band, strip, number, width)
    xml.ElementTree(root).write(path)
    with rasterio.open(path, "r+") as raster:
        if crs is not None:
            raster.crs = crs
        if not transform.is_identity:
            raster.transform = transform
        raster.nodata = NODATA
        raster.descriptions = style.bands
        raster.update_tags(**style.tags)
        if style.scale is not None:
            raster.scales = [style.scale] * raster.count
        raster.colorinterp = [ColorInterp.gray] * raster.count
        if style.palette is not None:
            raster.write_colormap(1, dict(enumerate(map(tuple, style.palette))))
            raster.colorinterp = [ColorInterp.palette]


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
        raise UserError(
            f"{target.name} cannot be written ({reason(error)}); {START_AGAIN}"
        ) from error


def _add_source(band: xml.Element, strip: Strip, number: int, width: int) -> None:
    source = xml.SubElement(band, "SimpleSource")
    xml.SubElement(source, "SourceFilename", relativeToVRT="1").text = strip.path.name
    xml.SubElement(source, "SourceBand").text = str(number)
    rows = str(strip.bottom - strip.top)
    for tag, top in (("SrcRect", 0), ("DstRect", strip.top)):
        xml.SubElement(source, tag, xOff="0", yOff=str(top), xSize=str(width), ySize=rows)
