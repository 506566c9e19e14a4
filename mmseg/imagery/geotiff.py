"""Open and write georeferenced rasters, and read their colours."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from mmseg.errors import UserError, reason
from mmseg.files import whole_file
from mmseg.imagery.files import check_depth
from mmseg.imagery.mask import IGNORE_INDEX

SIZE = {"tiled": True, "blockxsize": 256, "blockysize": 256}
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# A damaged header may declare gigabytes, and an honest file of this size must be cut into tiles.
MOST_PIXELS = 2**28
# The formats of masks by their first byte. What begins otherwise is tried as TIFF.
DRIVERS = {b"\x89": "PNG", b"P": "PNM", b"B": "BMP", b"G": "GIF", b"\xff": "JPEG", b"R": "WEBP"}
DRIVERS |= {b"\0": "JP2OpenJPEG"}


def open_geotiff(path: str | Path, driver: str = "GTiff") -> rasterio.DatasetReader:
    """Open a TIFF, with or without georeference.

    No other driver is tried: GDAL's virtual rasters can name any file or address.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, driver=driver)


@contextmanager
def _opened(data: bytes, path: str | Path, kind: str) -> Iterator[rasterio.DatasetReader]:
    try:
        driver = DRIVERS.get(data[:1], "GTiff")
        with MemoryFile(data) as file, open_geotiff(file.name, driver) as raster:
            if raster.width * raster.height > MOST_PIXELS:
                raise UserError(f"{path}: the {kind} is too large; cut it into tiles")
            yield raster
    except RasterioError as error:
        message = re.sub(f"'?{file.name}'?", "it", reason(error.__cause__ or error))
        raise UserError(f"{path}: cannot decode the {kind} ({message})") from error


def nodata_of(path: str | Path) -> float | None:
    """Return the nodata value of a TIFF, None if it has none or another format."""
    with suppress(RasterioError), open_geotiff(path) as raster:
        return raster.nodata
    return None


def read_samples(data: bytes, path: str | Path) -> np.ndarray:
    """Decode `data`, the bytes of the mask at `path`, to (H, W, C), the samples as they are stored.

    They are not stretched or inverted, as PIL does it, and not looked up in a palette. The nodata
    value of a TIFF becomes 255.
    """
    with _opened(data, path, "mask") as raster:
        values = raster.read().transpose(1, 2, 0)
        is_tiff, nodata = raster.driver == "GTiff", raster.nodata
    if not is_tiff or nodata is None or values.dtype.kind not in "iu":
        return values  # the nodata value of a PNG is a transparent colour
    return np.where(values == nodata, IGNORE_INDEX, values.astype(np.int64))


def colour_bands(raster: rasterio.DatasetReader) -> list[int]:
    """Return the numbers (from 1) of the red, green and blue band, or else [1, 2, 3].

    The descriptions of the bands name them, such as "Red" or "B", or their colour interpretations.
    A raster of one band, or of one and an alpha band, is grey or has a palette: [1, 1, 1].
    """
    if raster.count <= 2:
        return [1, 1, 1]
    for names in (_described(raster), list(raster.colorinterp)):
        if all(names.count(colour) == 1 for colour in RGB):
            return [names.index(colour) + 1 for colour in RGB]
    return [1, 2, 3]


def _described(raster: rasterio.DatasetReader) -> list[ColorInterp | None]:
    words = [set(re.findall("[a-z]+", (text or "").lower())) for text in raster.descriptions]
    named = [w if not w & {"edge", "infra"} else set() for w in words]  # "red edge" is not red
    return [next((c for c in RGB if w & {c.name, c.name[0]}), None) for w in named]


def colour_table(raster: rasterio.DatasetReader, bands: Sequence[int]) -> np.ndarray | None:
    """Return the red, green and blue of each sample value of `bands`, uint8 (3, 256 or more).

    They are a palette, or grey for samples of less than 8 bits. None: the samples are the colours.
    """
    with suppress(ValueError):  # rasterio raises it if there is no palette
        table = raster.colormap(bands[0]) if len(set(bands)) == 1 else {}
        if table:
            size = max(255, *table) + 1
            return np.array([table.get(i, (0, 0, 0))[:3] for i in range(size)], np.uint8).T
    bits = int(raster.tags(bands[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
    levels = np.minimum(np.arange(256) * 255 // (2**bits - 1), 255).astype(np.uint8)
    return np.stack([levels] * 3) if bits < 8 else None


def look_up(image: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    """Return the colours (3, H, W) of the samples (3, H, W) by `colour_table`."""
    return image if table is None else np.stack([t[b] for t, b in zip(table, image, strict=True)])


def read_colours(data: bytes, path: str | Path) -> np.ndarray:
    """Decode `data`, the bytes of the TIFF at `path`, to (H, W, 3) uint8 RGB.

    Raises `UserError` for samples of more than 8 bits, too many pixels, and a file that cannot be
    decoded.
    """
    with _opened(data, path, "image") as raster:
        check_depth(raster.dtypes[0], path)
        bands = colour_bands(raster)
        return look_up(raster.read(bands), colour_table(raster, bands)).transpose(1, 2, 0)


def write_geotiff(
    path: Path,
    array: np.ndarray,
    transform: Affine,
    crs: str | None,
    names: Sequence[str] | None = None,
    nodata: float | None = None,
    valid: np.ndarray | None = None,
) -> None:
    """Write a tiled, deflated GeoTIFF; the file appears only when it is complete.

    `array` is (H, W) or (H, W, C), `transform` maps (column, row) to map coordinates, and `crs` is
    a code such as "EPSG:2180", WKT or, like the identity, None. `names` are those of the bands.
    Pixels that are not `valid`, bool (H, W), are told by a mask if there is no `nodata` value.
    Raises `UserError` if the file cannot be written.
    """
    bands = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    count, height, width = bands.shape
    profile = {
        "driver": "GTiff",
        "dtype": bands.dtype,
        "photometric": "RGB" if count == 3 and bands.dtype == np.uint8 else "MINISBLACK",
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 2,
    }
    size = {"width": width, "height": height, "count": count, "nodata": nodata}
    with (
        warnings.catch_warnings(),
        whole_file(path) as part,
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(part, "w", transform=transform, crs=crs, **size, **profile) as target:
            target.write(bands)
            if names is not None:
                target.descriptions = names
            if valid is not None and nodata is None and not valid.all():
                target.write_mask(valid)
