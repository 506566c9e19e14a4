"""Cloud Optimized GeoTIFFs from strips, through a virtual raster that joins them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp

from mmseg.files import cannot_be_written
from mmseg.imagery.pictures import Palette
from mmseg.raster.scene import Scene
from mmseg.raster.unfinished import START_AGAIN

NODATA = 255
# The uint8 of a probability of one; 255 is nodata.
FULL = 254


def write_vrt(
    path: Path,
    scene: Scene,
    strips: Mapping[str, tuple[int, int]],
    bands: Sequence[str],
    tags: Mapping[str, str],
    palette: Palette | None = None,
) -> None:
    """Write a virtual raster of uint8 strips, at the place of the scene if it has one.

    `strips` gives first row and end of each file beside `path`, `bands` the names of the bands. The
    values are class ids with the colours of `palette`; without it, probabilities, 0 to `FULL`.
    """
    text = f'<VRTDataset rasterXSize="{scene.width}" rasterYSize="{scene.height}">'
    for band in range(1, len(bands) + 1):
        text += f'<VRTRasterBand dataType="Byte" band="{band}">'
        for name, (top, bottom) in strips.items():
            size = f'xSize="{scene.width}" ySize="{bottom - top}"'
            text += (
                f'<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename>'
                f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" {size} />'
                f'<DstRect xOff="0" yOff="{top}" {size} /></SimpleSource>'
            )
        text += "</VRTRasterBand>"
    path.write_text(text + "</VRTDataset>")
    with rasterio.open(path, "r+") as raster:
        if scene.crs is not None:
            raster.crs = scene.crs
        if not scene.transform.is_identity:
            raster.transform = scene.transform
        if scene.raster.gcps[0]:
            raster.gcps = scene.raster.gcps
        if scene.raster.rpcs:
            raster.rpcs = scene.raster.rpcs
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
