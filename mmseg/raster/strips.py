"""The strips of an unfinished map on disk, and the Cloud Optimized GeoTIFFs that they become."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
from mmengine.logging import MMLogger
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from mmseg.files import LOCK, cannot_be_written, write_whole
from mmseg.imagery.pictures import Palette

NODATA = 255
# The uint8 of a probability of one; 255 is nodata.
FULL = 254
SOURCE = """<ComplexSource><SourceFilename relativeToVRT="1">{}</SourceFilename>\
<SourceBand>{}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{w}" ySize="{h}" />\
<DstRect xOff="{}" yOff="{}" xSize="{w}" ySize="{h}" /><NODATA>255</NODATA></ComplexSource>"""
# Changes whenever strips of before cannot be gone on with.
STRIP_FORMAT = "one file with all bands"
# What to do if the outputs cannot be written.
START_AGAIN = "see that the disk has room and start again: finished strips are kept"
# Short and wide blocks: strips are as high as the stride of the windows.
BLOCK = {"tiled": True, "blockxsize": 512, "blockysize": 128, "interleave": "band"}
BLOCK |= {"compress": "deflate", "zlevel": 1}


class UnfinishedMap:
    """A hidden folder beside the outputs, removed when they are done.

    A strip is a small GeoTIFF. One process writes it, whole or not at all. The products are made in
    the folder too, and moved out when they are whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._note = folder, folder / "job.json"

    @property
    def job(self) -> dict[str, Any]:
        """The facts that the strips depend on. Empty if job.json is damaged or not there."""
        try:
            return json.loads(self._note.read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def prepare(self, job: dict[str, Any]) -> None:
        """Keep the strips of the same job. Throw away those of another one and say why."""
        found = self.job
        if not (differing := [name for name in job if found.get(name) != job[name]]):
            return
        if self._note.is_file():
            MMLogger.get_current_instance().warning(
                f"{self.folder}: this unfinished map is thrown away and the scene is mapped anew, "
                f"because its job.json differs in: {', '.join(differing)}"
            )
        for path in self.folder.iterdir():
            if path.name != LOCK:  # this process holds it
                path.unlink()
        write_whole(self._note, json.dumps(job, sort_keys=True).encode())

    def strip(self, index: int) -> Path:
        """Return the file of a strip. It is there if the strip is done."""
        return self.folder / f"strip-{index:06d}.tif"

    def write(self, index: int, bands: np.ndarray) -> None:
        """Write a strip, uint8 (bands, rows, W)."""
        size = dict(zip(("count", "height", "width"), bands.shape, strict=True))
        with MemoryFile() as memory:
            with memory.open(driver="GTiff", dtype="uint8", **size, **BLOCK) as strip:
                strip.write(bands)
            write_whole(self.strip(index), memory.getbuffer())

    def clear(self) -> None:
        """Remove the folder. No process may hold it: on NFS an open file would stay."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_vrt(
    path: Path,
    size: tuple[int, int],
    place: Mapping[str, Any],
    boxes: Mapping[str, Sequence[float]],
    bands: Mapping[int, str],
    tags: Mapping[str, str],
    palette: Palette | None = None,
) -> None:
    """Write a virtual raster of uint8 files beside `path`, `size` (height, width) large.

    `place` has its crs, transform, gcps and rpcs, as far as they are known. `boxes` gives column,
    row, width and height of each file in it, `bands` the names of bands by their numbers there. The
    values are class ids with the colours of `palette`; without it, probabilities, 0 to `FULL`.
    Where files overlap, the last one that has a value counts.
    """
    text = f'<VRTDataset rasterXSize="{size[1]}" rasterYSize="{size[0]}">'
    for number, band in enumerate(bands, start=1):
        text += f'<VRTRasterBand dataType="Byte" band="{number}">'
        for name, (left, top, width, height) in boxes.items():
            text += SOURCE.format(escape(name), band, left, top, w=width, h=height)
        text += "</VRTRasterBand>"
    path.write_text(text + "</VRTDataset>")
    with rasterio.open(path, "r+") as raster:
        for name, value in place.items():
            setattr(raster, name, value)
        raster.nodata = NODATA
        raster.descriptions = [*bands.values()]
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
