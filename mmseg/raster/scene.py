"""Scene: a raster of any size, read in bands of rows as the 8-bit RGB that a model takes."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from mmseg.errors import UserError, reason
from mmseg.imagery.colours import colour_bands
from mmseg.raster.georeference import is_measurable
from mmseg.raster.scaling import Ranges, percentile_ranges, sample_windows, to_8_bits
from mmseg.raster.vector import AreaOfInterest

# An overview is read so many times finer, on each side, than it is shown.
OVERSAMPLING = 4
# Statistics and overviews, which GDAL and viewers add to a scene without changing it.
VIEWERS = (".aux.xml", ".ovr")


class Scene:
    """What GDAL opens at `path`, as 8-bit RGB with a mask of the pixels to map.

    Args:
        bands: Numbers of the red, green and blue band, from 1; by default those that the file
            calls so, else the first three.
        scale: Sample values of a 16-bit scene that become 0 and 255; by default percentiles.
        nodata: Value of pixels without image, where the file does not say it.
        aoi: A file of polygons; what lies outside is not mapped.

    `crs` and `transform` are the file's; see `is_measurable`.
    """

    def __init__(
        self,
        path: str | Path,
        bands: Sequence[int] | None = None,
        scale: tuple[float, float] | None = None,
        nodata: float | None = None,
        aoi: str | None = None,
    ) -> None:
        self.path = str(path)
        with _readable(self.path):
            self.raster = rasterio.open(self.path)
        self.height, self.width = self.raster.shape
        self.crs, self.transform = self.raster.crs, self.raster.transform
        self.is_measurable = is_measurable(self.crs, self.transform, self.height, self.width)
        self.bands = _choose_bands(self.raster, bands)
        self.nodata = nodata
        self.aoi = AreaOfInterest(aoi, self.crs if self.is_measurable else None) if aoi else None
        self.ranges = self._choose_ranges(scale)
        self._check_nodata()

    @property
    def name(self) -> str:
        """The name without folder and suffix, by which the outputs are called."""
        return Path(self.path).stem

    @property
    def mark(self) -> str:
        """What tells it from a scene of the same name in another folder, without naming that."""
        return hashlib.sha256(self.place.encode()).hexdigest()[:16]

    @property
    def place(self) -> str:
        """Its absolute path, or what GDAL opens that is no file."""
        return os.path.abspath(self.path) if os.path.isfile(self.path) else self.path

    def identity(self) -> dict:
        """Tell this scene from another or a changed one, in values that JSON holds."""
        # Also the sheets of a VRT and a mask beside the scene; not what viewers leave there.
        files = [f for f in self.raster.files if os.path.isfile(f) and not f.endswith(VIEWERS)]
        facts = {os.path.abspath(file): os.stat(file) for file in files}
        return {
            "path": self.place,
            "files": {file: (fact.st_size, fact.st_mtime_ns) for file, fact in facts.items()},
            "shape": self.raster.shape,
            "place": (self.crs and self.crs.to_wkt(), list(self.transform)),
            "bands": self.bands,
            "ranges": self.ranges,
            "nodata": self.nodata,
            "aoi": self.aoi and self.aoi.shapes,
        }

    def read(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
        """Read rows `top` to `bottom`: the image, uint8 (3, rows, W), and which pixels to map.

        Raises `UserError` where the file is cut short or broken.
        """
        window = Window(0, top, self.width, bottom - top)
        image, valid = self._read(window)
        if self.aoi is not None:
            place = window_transform(window, self.transform)
            valid &= self.aoi.mask(place, *valid.shape)
        return to_8_bits(image, self.ranges), valid

    def overview(self, limit: int) -> np.ndarray:
        """Read the whole scene smaller, no side longer than `limit`: uint8 RGB (h, w, 3)."""
        shrink = max(1, max(self.height, self.width) / limit)
        # Every n-th pixel is read, which GDAL does fast, and a few of them averaged.
        step = shrink / min(shrink, OVERSAMPLING)
        shape = (3, max(1, round(self.height / step)), max(1, round(self.width / step)))
        with _readable(self.path):
            image = self.raster.read(self.bands, out_shape=shape)
        size = (max(1, int(self.width / shrink)), max(1, int(self.height / shrink)))
        picture = np.ascontiguousarray(to_8_bits(image, self.ranges).transpose(1, 2, 0))
        return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)

    def _check_nodata(self) -> None:
        most = 2**8 - 1 if self.ranges is None else 2**16 - 1
        if self.nodata is not None and not 0 <= self.nodata <= most:
            raise UserError(
                f"{self.path}: no sample is {self.nodata:g}, the nodata value: they are 0 to {most}"
            )

    def _choose_ranges(self, scale: tuple[float, float] | None) -> Ranges | None:
        if _has_8_bits(self.raster, self.bands):
            return None
        if scale is not None:
            return [scale] * 3
        windows = sample_windows(self.height, self.width)
        return percentile_ranges(np.concatenate([self._valid_pixels(w) for w in windows], axis=1))

    def _valid_pixels(self, window: Window) -> np.ndarray:
        """Return the samples (3, N) of the pixels with image in a piece of the scene."""
        pixels, valid = self._read(window)
        return pixels[:, valid]

    def _read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        with _readable(self.path, f"cannot be read at rows {window.row_off} and below"):
            image = self.raster.read(self.bands, window=window)
            valid = self._valid(window)
        if self.nodata is not None:
            valid &= (image != self.nodata).any(axis=0)
        return image, valid

    def _valid(self, window: Window) -> np.ndarray:
        flags = [self.raster.mask_flag_enums[band - 1] for band in self.bands]
        if all(found == [MaskFlags.nodata] for found in flags):
            # As by `nodata`: other bands than those that are mapped do not count.
            return self.raster.read_masks(self.bands, window=window).any(axis=0)
        return self.raster.dataset_mask(window=window) > 0


def _choose_bands(raster: rasterio.DatasetReader, bands: Sequence[int] | None) -> list[int]:
    count = raster.count
    if bands is None:
        bands = colour_bands(raster)
    if len(bands) != 3 or not all(1 <= band <= count for band in bands):
        raise UserError(
            f"{raster.name}: it has {count} bands, bands {list(bands)} were asked for; "
            "give the numbers of the red, green and blue band, as in --bands 1 2 3"
        )
    return list(bands)


def _has_8_bits(raster: rasterio.DatasetReader, bands: Sequence[int]) -> bool:
    types = {raster.dtypes[band - 1] for band in bands}
    if types not in ({"uint8"}, {"uint16"}):
        raise UserError(
            f"{raster.name}: samples are {', '.join(sorted(types))}; uint8 and uint16 are mapped"
        )
    return types == {"uint8"}


@contextmanager
def _readable(path: str, problem: str = "not a readable raster") -> Iterator[None]:
    try:
        yield
    except RasterioIOError as error:
        raise UserError(
            f"{path}: {problem}, or cut short ({reason(error.__cause__ or error)}); get the file "
            "again"
        ) from error
