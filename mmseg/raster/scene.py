"""Scene: a raster of any size, read in rows as the bands and bits that a model takes."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
from rasterio.dtypes import in_dtype_range
from rasterio.enums import Resampling
from rasterio.features import geometry_mask
from rasterio.windows import Window

from mmseg.errors import UserError
from mmseg.imagery import geotiff
from mmseg.imagery.bands import RGB, bits_of, is_bgr, picture
from mmseg.imagery.geotiff import readable
from mmseg.imagery.listing import list_images
from mmseg.raster.georeference import ground_resolution
from mmseg.raster.options import MapOptions
from mmseg.raster.vector_files import read_polygons

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".ecw")
# A file whose name ends in one of these is a map and no scene.
OUTPUTS = (".landcover.tif", ".landcover.vrt", ".confidence.tif", ".probabilities.tif")
# Statistics and overviews: GDAL and viewers write them beside a raster without changing it.
SIDECAR_SUFFIXES = (".aux.xml", ".ovr")
# 16-bit scenes are stretched between these percentiles of 8 x 8 pieces of 128 x 128 pixels.
PERCENTILES, PIECES, PIECE_SIZE = (2, 98), 8, 128
# An alpha band is a mask if this share of its pixels is empty or full.
MASK_SHARE = 0.8
# More pixels of the scene or of its border that are exactly black or white may be none.
GAP_SHARE = 0.01


def find_scenes(inputs: Sequence[str]) -> list[str]:
    """Return the scenes in folders, and every other input: GDAL may be able to open it.

    Raises `UserError` for a folder without a scene, and for two scenes of one name.
    """
    scenes = list_images(inputs, SUFFIXES, skip_endings=OUTPUTS, recursive=False, keep_unknown=True)
    names: dict[str, str] = {}
    for scene in scenes:
        other = names.setdefault(Path(scene).stem, scene)
        if other != scene:
            raise UserError(f"{other} and {scene} have the same name: map them into two folders")
    return scenes


class Scene:
    """A raster that GDAL opens at `path`, as a model's bands with a mask of the pixels to map.

    `meta` is the metainfo of the model's data set. Its `bands` and `bits` are read, by default
    8-bit RGB. `fill` may be set to the values of a pixel without image, one for each band.

    `crs` and `transform` are those of the file. `resolution` is the height and width in metres of a
    pixel, None if the place is unknown. Of `options`, `bands`, `scale`, `nodata`, `alpha` and `aoi`
    count here. `notes` says how it is read. Raises `UserError` for a file that cannot be mapped.
    """

    def __init__(self, path: str | Path, options: MapOptions, meta: Mapping) -> None:
        self.path, self.name = str(path), Path(path).stem
        # The absolute path of a file, or the text with which GDAL opens something else.
        self.source = os.path.abspath(path) if os.path.isfile(path) else self.path
        self.band_names, self.bits = meta.get("bands"), meta.get("bits", "uint8")
        self.fill: np.ndarray | None = None
        with readable(self.path):
            self.raster = rasterio.open(self.path)
        if not self.raster.count and (parts := self.raster.subdatasets):
            shown = ", ".join(parts[:5])
            raise UserError(f"{self.path}: it holds {len(parts)} rasters; map one: {shown}")
        self.height, self.width = self.raster.shape
        self.crs, self.transform = self.raster.crs, self.raster.transform
        self.resolution = ground_resolution(self.transform, self.crs, self.height, self.width)
        self.bands = self._choose_bands(options.bands)
        self.table = None if self.band_names else geotiff.colour_table(self.raster, self.bands)
        self.nodata, dtype = options.nodata, self.raster.dtypes[self.bands[0] - 1]
        if self.nodata is not None and not (
            in_dtype_range(self.nodata, dtype)
            and ("float" in dtype or float(self.nodata).is_integer())
        ):
            raise UserError(f"{self.path}: no sample of {dtype} is {self.nodata}, the nodata value")
        self.notes: list[str] = []
        names = [self.raster.descriptions[band - 1] for band in self.bands]
        if options.bands is None and self.bands == [1, 2, 3] and any(names):
            self.notes.append(f"taken as red, green and blue: {names} (--bands takes others)")
        self.alphas = self._choose_alphas(options.alpha)
        self.aoi: np.ndarray | None = None
        if options.aoi:
            if self.crs is None or self.resolution is None:
                raise UserError(f"{self.path}: its place is unknown; leave the area (--aoi) out")
            self.aoi = read_polygons(options.aoi, self.crs, self.raster.bounds)[0]
            if not len(self.aoi):
                self.notes.append("the area of interest lies elsewhere: nothing is mapped")
        # For each band the sample values that become 0 and 255; None if they stay as they are.
        self.ranges = self._choose_ranges(options.scale)
        if options.scale and self.ranges is None:
            self.notes.append(f"its samples are {dtype}, as the model takes, and not scaled")
        if self.resolution is None:
            why = "no CRS, a local one, or no transform"
            self.notes.append(f"its place is unknown ({why}): areas are in pixels, no polygons")

    def identity(self) -> dict:
        """Return facts, in values that JSON holds, that differ for another or a changed scene."""
        # The sheets of a VRT and a mask beside the scene are files of it too.
        files = [f for f in self.raster.files if os.path.isfile(f)]
        facts = {os.path.abspath(f): os.stat(f) for f in files if not f.endswith(SIDECAR_SUFFIXES)}
        return {
            "path": self.source,
            "files": {file: (fact.st_size, fact.st_mtime_ns) for file, fact in facts.items()},
            "shape": self.raster.shape,
            "place": (self.crs and self.crs.to_wkt(), list(self.transform)),
            "bands": [self.bands, self.alphas],
            "ranges": self.ranges,
            "nodata": self.nodata,
            "aoi": None if self.aoi is None else [shape.wkb_hex for shape in self.aoi],
        }

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window: the image, (C, rows, W) of `bits`, and the pixels to map, bool (rows, W).

        Raises `UserError` if the file is cut short or broken.
        """
        image, valid = self._read(window)
        if self.fill is not None and self.ranges is None:
            image[:, ~valid] = self.fill[:, None].astype(image.dtype)
        if self.aoi is not None:
            place = self.raster.window_transform(window)
            valid &= len(self.aoi) > 0 and geometry_mask(self.aoi, valid.shape, place, invert=True)
        return self._to_8_bits(image), valid

    def overview(self, limit: int) -> np.ndarray:
        """Read the whole scene smaller, no side longer than `limit`: uint8 RGB (h, w, 3)."""
        shrink = max(1, max(self.height, self.width) / limit)
        shape = [max(1, int(side / shrink)) for side in (self.height, self.width)]
        out = {"out_shape": (len(self.bands), *shape), "resampling": Resampling.average}
        with readable(self.path):
            image = self.raster.read(self.bands, **out)
        pixels = self._to_8_bits(image).transpose(1, 2, 0)
        # Here the bands of such an image are in the order of RGB.
        order = -1 if is_bgr(self.band_names, str(pixels.dtype)) else 1
        return picture(pixels[..., ::order], self.band_names)

    def _to_8_bits(self, image: np.ndarray) -> np.ndarray:
        if self.ranges is None:
            return geotiff.look_up(image, self.table).astype(self.bits, copy=False)
        levels = (
            (band.astype(np.float32) - low) * (255 / (high - low)) + 0.5
            for band, (low, high) in zip(image, self.ranges, strict=True)
        )
        return np.stack([np.clip(level, 0, 255).astype(np.uint8) for level in levels])

    def _choose_bands(self, bands: Sequence[int] | None) -> list[int]:
        raster, names = self.raster, self.band_names
        if bands is None:
            bands = geotiff.find_bands(raster, names) if names else geotiff.colour_bands(raster)
        names = names or RGB
        if len(bands) != len(names) or not all(1 <= band <= raster.count for band in bands):
            raise UserError(
                f"{self.path}: it has {raster.count} bands, bands {list(bands)} were asked for; "
                f"give the numbers of the bands {', '.join(names)} (--bands)"
            )
        return list(bands)

    def _choose_ranges(self, scale: tuple[float, float] | None) -> list[tuple[float, float]] | None:
        types = {self.raster.dtypes[band - 1] for band in self.bands}
        known = {"uint8", "uint16"} if self.bits == "uint8" else {self.bits}
        if len(types) != 1 or not {bits_of(each) for each in types} <= known:
            raise UserError(
                f"{self.path}: samples are {', '.join(sorted(types))}; this model maps "
                f"{' and '.join(sorted(known))}"
            )
        if types == {"uint8"} or self.bits != "uint8" or self.table is not None:
            return None
        if scale is not None:
            return [scale] * len(self.bands)
        samples, valid, _ = self.sample
        if not valid.any():
            return [(0.0, 65535.0)] * len(self.bands)
        low, high = np.percentile(samples[:, valid], PERCENTILES, axis=1)
        return [(float(a), float(max(b, a + 1))) for a, b in zip(low, high, strict=True)]

    def _choose_alphas(self, alpha: int | None) -> list[int]:
        """Return the bands whose zeros are pixels without image."""
        if alpha is not None:
            if not 0 <= alpha <= self.raster.count:
                raise UserError(f"{self.path}: it has no band {alpha} to be the alpha band")
            return [alpha] if alpha else []
        chosen = []
        for band in sorted({*geotiff.alpha_bands(self.raster)} - {*self.bands}):
            with readable(self.path):
                pieces = [self.raster.read(band, window=window) for window in self._pieces()]
            values = np.concatenate(pieces, axis=None)
            told = f"called alpha, but is no mask (--alpha {band} takes it)"
            if np.isin(values, (0, values.max())).mean() > MASK_SHARE:
                chosen.append(band)
                told = "the alpha band (--no-alpha leaves it out)"
            self.notes.append(f"band {band} is {told}")
        return chosen

    def gaps(self) -> str | None:
        """Warn of pixels that are mapped and may be none; None if there is no reason to."""
        samples, valid, is_border = self.sample
        most = 255 if self.ranges is None else 65535
        for value in (0, most) if self.nodata is None and self.table is None else ():
            same = valid & (samples == value).all(axis=0)
            whole, border = same.mean(), same[is_border].mean()
            if max(whole, border) > GAP_SHARE:
                return (
                    f"{self.path}: {whole:.1%} of the scene and {border:.1%} of its border are "
                    f"exactly {value} in all bands, and are mapped; if there is no image, map with "
                    f"--nodata {value}"
                )
        return None

    @cached_property
    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples (C, N) of the pieces, bool (N,): which are an image, and which on the border."""
        found = []
        for window in self._pieces():
            image, valid = self._read(window)
            rows, columns = np.ogrid[window.toslices()]
            border = (rows % (self.height - 1 or 1) == 0) | (columns % (self.width - 1 or 1) == 0)
            found.append((image.reshape(len(image), -1), valid.flatten(), border.flatten()))
        images, valids, borders = zip(*found, strict=True)
        return np.concatenate(images, axis=1), np.concatenate(valids), np.concatenate(borders)

    def _pieces(self) -> Iterator[Window]:
        """Yield small windows spread evenly over the scene, or all of a small scene."""
        count = PIECES if self.height * self.width > (PIECES * PIECE_SIZE) ** 2 else 1
        side = PIECE_SIZE if count > 1 else max(self.height, self.width)
        height, width = min(side, self.height), min(side, self.width)
        for row, column in product(range(count), repeat=2):
            top, left = row * (self.height - height), column * (self.width - width)
            yield Window(left // (PIECES - 1), top // (PIECES - 1), width, height)

    def _read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        place = f"at rows {window.row_off} and below"
        with readable(self.path, f"cannot be read {place}, or cut short; get it again"):
            return geotiff.read_valid(self.raster, self.bands, window, self.nodata, self.alphas)
