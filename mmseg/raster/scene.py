"""Scene: a raster of any size, read in bands of rows as the 8-bit RGB that a model takes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioIOError
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from mmseg.errors import UserError
from mmseg.raster.vector import AreaOfInterest

# 16-bit scenes are stretched between these percentiles of a sample of 8 x 8 pieces.
PERCENTILES, SAMPLES, SAMPLE_SIZE = (2, 98), 8, 128
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


class Scene:
    """What GDAL opens at `path`, as 8-bit RGB with a mask of the pixels to map.

    Args:
        bands: Numbers of the red, green and blue band, from 1; by default those that the file
            calls so, else the first three.
        scale: Sample values of a 16-bit scene that become 0 and 255; by default percentiles.
        nodata: Value of pixels without image, where the file does not say it.
        aoi: A file of polygons; what lies outside is not mapped.

    Without a CRS, `crs` is None and `transform` counts pixels.
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
        self.crs: CRS | None = self.raster.crs
        self.transform = self.raster.transform if self.crs else Affine.identity()
        self.bands = self._choose_bands(bands)
        self.nodata = nodata
        self.aoi = AreaOfInterest(aoi, self.crs) if aoi else None
        self.scale = self._choose_scale(scale)

    @property
    def name(self) -> str:
        """The name without folder and suffix, by which the outputs are called."""
        return Path(self.path).stem

    def identity(self) -> dict:
        """Tell this scene from another or a changed one, in values that JSON holds."""
        file = os.stat(self.path) if os.path.isfile(self.path) else None
        return {
            "path": os.path.abspath(self.path) if file else self.path,
            "bytes": file and file.st_size,
            "changed": file and file.st_mtime_ns,
            "shape": self.raster.shape,
            "bands": self.bands,
            "scale": self.scale,
            "nodata": self.nodata,
            "aoi": self.aoi and self.aoi.shapes,
        }

    def read(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
        """Read rows `top` to `bottom`: the image, uint8 (3, rows, W), and which pixels to map.

        Raises `UserError` where the file is cut short or broken.
        """
        window = Window(0, top, self.width, bottom - top)
        with _readable(self.path, f"cannot be read at rows {top} to {bottom}"):
            image = self.raster.read(self.bands, window=window)
            valid = self.raster.dataset_mask(window=window) > 0
        if self.nodata is not None:
            valid &= (image != self.nodata).any(axis=0)
        if self.aoi is not None:
            place = window_transform(window, self.transform)
            valid &= self.aoi.mask(place, *valid.shape)
        return self._to_8_bits(image), valid

    def overview(self, limit: int) -> np.ndarray:
        """Read the whole scene smaller, no side longer than `limit`: uint8 RGB (h, w, 3)."""
        shrink = max(1, max(self.height, self.width) / limit)
        size = (max(1, int(self.height / shrink)), max(1, int(self.width / shrink)))
        with _readable(self.path):
            image = self.raster.read(
                self.bands, out_shape=(3, *size), resampling=Resampling.average
            )
        return self._to_8_bits(image).transpose(1, 2, 0)

    def _choose_bands(self, bands: Sequence[int] | None) -> list[int]:
        count = self.raster.count
        if bands is None:
            colours = list(self.raster.colorinterp)
            named = all(colour in colours for colour in RGB)
            bands = [colours.index(colour) + 1 for colour in RGB] if named else [1, 2, 3]
        if len(bands) != 3 or not all(1 <= band <= count for band in bands):
            raise UserError(
                f"{self.path}: it has {count} bands, bands {list(bands)} were asked for; "
                "give the numbers of the red, green and blue band, as in --bands 1 2 3"
            )
        return list(bands)

    def _choose_scale(self, scale: tuple[float, float] | None) -> list[tuple[float, float]] | None:
        """Return for each band the values that become 0 and 255; None for 8 bits."""
        types = {self.raster.dtypes[band - 1] for band in self.bands}
        if types == {"uint8"}:
            return None
        if types != {"uint16"}:
            raise UserError(
                f"{self.path}: samples are {', '.join(sorted(types))}; uint8 and uint16 are mapped"
            )
        return [scale] * 3 if scale else self._percentiles()

    def _percentiles(self) -> list[tuple[float, float]]:
        samples = []
        for row, column in product(range(SAMPLES), repeat=2):
            top = row * max(0, self.height - SAMPLE_SIZE) // (SAMPLES - 1)
            left = column * max(0, self.width - SAMPLE_SIZE) // (SAMPLES - 1)
            right, bottom = min(left + SAMPLE_SIZE, self.width), min(top + SAMPLE_SIZE, self.height)
            window = Window(left, top, right - left, bottom - top)
            with _readable(self.path):
                pixels = self.raster.read(self.bands, window=window)
                valid = self.raster.dataset_mask(window=window) > 0
            if self.nodata is not None:
                valid &= (pixels != self.nodata).any(axis=0)
            samples.append(pixels[:, valid])
        found = np.concatenate(samples, axis=1)
        if not found.size:
            return [(0.0, 65535.0)] * 3
        low, high = np.percentile(found, PERCENTILES, axis=1)
        return [(float(a), float(max(b, a + 1))) for a, b in zip(low, high, strict=True)]

    def _to_8_bits(self, image: np.ndarray) -> np.ndarray:
        if self.scale is None:
            return image
        result = np.empty(image.shape, np.uint8)
        for band, target, (low, high) in zip(image, result, self.scale, strict=True):
            levels = np.float32(255 / (high - low)) * (band - np.float32(low))
            target[:] = np.clip(levels + 0.5, 0, 255)
        return result


@contextmanager
def _readable(path: str, problem: str = "not a readable raster") -> Iterator[None]:
    try:
        yield
    except RasterioIOError as error:
        raise UserError(f"{path}: {problem}, or cut short; get the file again") from error
