"""Open, read and write rasters with GDAL: chosen bands, colours, samples of masks."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window

from mmseg.errors import UserError, reason
from mmseg.files import whole_file
from mmseg.imagery.image import check_depth
from mmseg.imagery.mask import IGNORE_INDEX

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
# A damaged header may declare gigabytes, and an honest file of this size must be cut into tiles.
MOST_PIXELS = 2**28
# The formats by their first byte. What begins otherwise is tried as TIFF. No other driver is tried:
# GDAL's virtual rasters can name any file or address.
DRIVERS = {b"\x89": "PNG", b"P": "PNM", b"B": "BMP", b"G": "GIF", b"\xff": "JPEG", b"R": "WEBP"}
DRIVERS |= {b"\0": "JP2OpenJPEG"}
PROFILE = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256}
PROFILE |= {"compress": "deflate", "predictor": 2}
# Most images and strips have no place; the log says it of scenes. `catch_warnings` would change the
# filters of all threads.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


@contextmanager
def readable(
    path: str, problem: str = "not a readable raster, or cut short; get it again"
) -> Iterator[None]:
    """Raise `UserError` for GDAL's errors of a raster that is opened or read in the block."""
    try:
        yield
    except RasterioError as error:
        cause = reason(error.__cause__ or error)
        raise UserError(f"{path}: {problem} ({cause})") from error


@contextmanager
def _opened(data: bytes, path: str | Path, kind: str) -> Iterator[rasterio.DatasetReader]:
    driver = DRIVERS.get(data[:1], "GTiff")
    with MemoryFile(data) as file:
        try:
            problem = f"cannot decode the {kind}; it is damaged or of an unknown format"
            with readable(str(path), problem), rasterio.open(file.name, driver=driver) as raster:
                if raster.width * raster.height > MOST_PIXELS:
                    raise UserError(f"{path}: the {kind} is too large; cut it into tiles")
                yield raster
        except UserError as error:
            raise UserError(str(error).replace(file.name, str(path))) from error


def nodata_of(path: str | Path) -> float | None:
    """Return the nodata value of a TIFF, None if it has none or another format."""
    with suppress(RasterioError), rasterio.open(path, driver="GTiff") as raster:
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


def read_planes(
    data: bytes, path: str | Path, bands: Sequence[str] | None, bits: str
) -> tuple[np.ndarray, np.ndarray]:
    """Decode `data`, the bytes of the image at `path`, to (C, H, W) of `bits`.

    The bands are those with the names `bands`, or else red, green and blue. Also returns which
    pixels have an image, bool (H, W); all of them if no bands are named.
    """
    with _opened(data, path, "image") as raster:
        numbers = find_bands(raster, bands) if bands else colour_bands(raster)
        if bits != "float32":  # which holds every number
            check_depth(raster.dtypes[numbers[0] - 1], path, bits)
        if bands:
            image, valid = read_valid(raster, numbers)
            return image.astype(bits, copy=False), valid
        image = look_up(raster.read(numbers), colour_table(raster, numbers))
        return image, np.ones(image.shape[1:], bool)


def names_of(raster: rasterio.DatasetReader) -> list[str]:
    """Return the name of each band in lower case: its description, or else its colour."""
    pairs = zip(raster.descriptions, raster.colorinterp, strict=True)
    return [(text or colour.name).strip().lower() for text, colour in pairs]


def find_bands(raster: rasterio.DatasetReader, bands: Sequence[str]) -> list[int]:
    """Return the numbers (from 1) of the bands with these names.

    If the file does not name them all, it must have as many bands, and they are taken in order.
    Raises `UserError` for another number of bands, and for names that contradict this order.
    """
    names, wanted = names_of(raster), [band.lower() for band in bands]
    if all(wanted.count(band) == names.count(band) == 1 for band in wanted):
        return [names.index(band) + 1 for band in wanted]
    pairs = zip(wanted, names, strict=False)
    if len(names) != len(wanted) or any(band in names and band != name for band, name in pairs):
        raise UserError(
            f"{raster.name}: it has {len(names)} bands ({', '.join(names)}), {len(wanted)} are "
            f"needed ({', '.join(bands)}); name the bands of the file, as in "
            "gdal_edit.py -set_desc"
        )
    return list(range(1, len(names) + 1))


def read_valid(
    raster: rasterio.DatasetReader,
    numbers: Sequence[int],
    window: Window | None = None,
    nodata: float | None = None,
    alphas: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read bands, (C, H, W), and which pixels have an image, bool (H, W).

    A pixel has none if the file's mask says so, if one of the bands `alphas` is 0, if all its bands
    are the nodata value of the file or `nodata`, or if one of them is NaN. By default `alphas` are
    the bands that the file calls so. A band that is read is data, whatever the file calls it.
    """
    if alphas is None:
        alphas = [band for band in alpha_bands(raster) if band not in numbers]
    image = raster.read(numbers, window=window)
    valid = np.ones(image.shape[1:], bool)
    # GDAL gives the alpha band as a mask, whatever it holds; `alphas` decides that.
    if MaskFlags.alpha not in raster.mask_flag_enums[numbers[0] - 1]:
        valid = raster.read_masks(numbers, window=window).any(axis=0)
    for band in alphas:
        valid &= raster.read(band, window=window) > 0
    if image.dtype.kind == "f":
        valid &= ~np.isnan(image).any(axis=0)
    if nodata is not None:
        valid &= (image != nodata).any(axis=0)
    return image, valid


def alpha_bands(raster: rasterio.DatasetReader) -> list[int]:
    """Return the numbers (from 1) of the bands that the file calls alpha."""
    colours = enumerate(raster.colorinterp, start=1)
    return [band for band, colour in colours if colour == ColorInterp.alpha]


def colour_bands(raster: rasterio.DatasetReader) -> list[int]:
    """Return the numbers (from 1) of the red, green and blue band, or else [1, 2, 3].

    The descriptions of the bands name them, such as "Red" or "B", or their colour interpretations.
    A raster of one band, or of one and an alpha band, is grey or has a palette: [1, 1, 1].
    """
    if raster.count <= 2:
        return [1, 1, 1]
    words = [set(re.findall("[a-z]+", (text or "").lower())) for text in raster.descriptions]
    named = [w if not w & {"edge", "infra"} else set() for w in words]  # "red edge" is not red
    described = [next((c for c in RGB if w & {c.name, c.name[0]}), None) for w in named]
    for names in (described, list(raster.colorinterp)):
        if all(names.count(colour) == 1 for colour in RGB):
            return [names.index(colour) + 1 for colour in RGB]
    return [1, 2, 3]


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
    size = dict(zip(("count", "height", "width"), bands.shape, strict=True))
    photometric = "RGB" if len(bands) == 3 and bands.dtype == np.uint8 else "MINISBLACK"
    profile = {**PROFILE, **size, "dtype": bands.dtype, "photometric": photometric}
    place = {"transform": transform, "crs": crs, "nodata": nodata}
    with (
        whole_file(path) as part,
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(part, "w", **profile, **place) as target,
    ):
        target.write(bands)
        if names is not None:
            target.descriptions = names
        if valid is not None and nodata is None and not valid.all():
            target.write_mask(valid)
