"""Cloud Optimized GeoTIFFs from strips, through a virtual raster that joins them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as xml

import rasterio
import rasterio.shutil
from rasterio import Affine
from rasterio.crs import CRS

from mmseg.files import cannot_be_written
from mmseg.raster.strips import START_AGAIN

NODATA = 255
# uint8 of a probability of one; 255 is nodata.
FULL = 254


@dataclass(frozen=True)
class Style:
    """What a raster says about its values; `palette` is (R, G, B) per class id."""

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
    if crs is not None:
        xml.SubElement(root, "SRS").text = crs.to_wkt()
    if not transform.is_identity:
        xml.SubElement(root, "GeoTransform").text = ", ".join(map(repr, transform.to_gdal()))
    metadata = xml.SubElement(root, "Metadata")
    for key, value in style.tags.items():
        xml.SubElement(metadata, "MDI", key=key).text = value
    for number, name in enumerate(style.bands, start=1):
        band = xml.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(number))
        xml.SubElement(band, "Description").text = name
        xml.SubElement(band, "NoDataValue").text = str(NODATA)
        _describe_values(band, style)
        for strip in strips:
            _add_source(band, strip, number, width)
    xml.ElementTree(root).write(path)


def write_cog(source: Path, target: Path, overviews: str) -> None:
    """Copy a raster as COG, its overviews resampled by `overviews` (MODE or AVERAGE).

    Raises `UserError` if it cannot be written, as when the disk is full.
    """
    options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": 512, "BIGTIFF": "IF_SAFER"}
    try:
        rasterio.shutil.copy(source, target, driver="COG", OVERVIEW_RESAMPLING=overviews, **options)
        # GDAL keeps silent about what it could not write when it closed the file.
        with rasterio.open(target) as raster:
            for _, window in raster.block_windows(1):
                raster.read(window=window)
    except Exception as error:  # GDAL's own errors have no public base class
        raise cannot_be_written(target.name, error, START_AGAIN) from error


def _describe_values(band: xml.Element, style: Style) -> None:
    if style.scale is not None:
        xml.SubElement(band, "Scale").text = repr(style.scale)
    if style.palette is None:
        xml.SubElement(band, "ColorInterp").text = "Gray"
        return
    xml.SubElement(band, "ColorInterp").text = "Palette"
    table = xml.SubElement(band, "ColorTable")
    for red, green, blue in style.palette:
        xml.SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4="255")


def _add_source(band: xml.Element, strip: Strip, number: int, width: int) -> None:
    rows = strip.bottom - strip.top
    source = xml.SubElement(band, "SimpleSource")
    name = xml.SubElement(source, "SourceFilename", relativeToVRT="1")
    name.text = strip.path.name
    xml.SubElement(source, "SourceBand").text = str(number)
    for tag, top in (("SrcRect", 0), ("DstRect", strip.top)):
        xml.SubElement(source, tag, xOff="0", yOff=str(top), xSize=str(width), ySize=str(rows))
