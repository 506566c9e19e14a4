"""Scene: a raster of any size, read in rows as the 8-bit RGB that a model takes."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio import Affine
from rasterio.coords import BoundingBox, disjoint_bounds
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioIOError
from rasterio.features import bounds, geometry_mask
from rasterio.warp import transform_geom
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from mmseg.errors import UserError, reason
from mmseg.imagery.geotiff import colour_bands
from mmseg.imagery.listing import list_images
from mmseg.raster.georeference import is_measurable
from mmseg.raster.options import MapOptions

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".ecw")
# A file whose name ends in one of these is a map and no scene.
OUTPUTS = (".landcover.tif", ".landcover.vrt", ".confidence.tif", ".probabilities.tif")
# Statistics and overviews: GDAL and viewers write them beside a raster without changing it.
SIDECAR_SUFFIXES = (".aux.xml", ".ovr")
# 16-bit scenes are stretched between these percentiles of 8 x 8 pieces of 128 x 128 pixels.
PERCENTILES, PIECES, PIECE_SIZE = (2, 98), 8, 128


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


class AreaOfInterest:
    """The polygons of a vector file, in the coordinates of a scene."""

    def __init__(self, path: str, crs: CRS | None) -> None:
        if crs is None:
            raise UserError(f"{path}: the place of the scene is unknown; leave the area out")
        try:
            meta, _, geometries, _ = pyogrio.raw.read(path, columns=[])
        except (DataSourceError, DataLayerError) as error:
            raise UserError(f"{path}: not a readable file of polygons ({reason(error)})") from error
        # A table has rows but no geometries.
        known = shapely.from_wkb([] if geometries is None else geometries)
        shapes = [shape for shape in known if shape is not None and shape.area > 0]
        if not shapes:
            raise UserError(f"{path}: there are no polygons in it")
        if meta["crs"] is None:
            raise UserError(f"{path}: it has no CRS; write the polygons with one")
        source = CRS.from_user_input(meta["crs"])
        try:
            self.shapes = [transform_geom(source, crs, shapely.geometry.mapping(s)) for s in shapes]
        except Exception as error:  # GDAL's own errors have no public base class
            raise UserError(f"{path}: cannot be laid on the scene ({reason(error)})") from error

    def touches(self, box: BoundingBox) -> bool:
        """Tell whether the box around a polygon reaches into the one around a scene."""
        return not all(disjoint_bounds(bounds(shape), box) for shape in self.shapes)

    def mask(self, transform: Affine, height: int, width: int) -> np.ndarray:
        """Tell which pixels of a piece of the scene have their centre inside, bool (H, W)."""
        return geometry_mask(self.shapes, (height, width), transform, invert=True)


class Scene:
    """A raster that GDAL opens at `path`, as 8-bit RGB with a mask of the pixels to map.

    `crs` and `transform` are those of the file; see `is_measurable`. Of `options`, `bands`,
    `scale`, `nodata` and `aoi` count here. Raises `UserError` for a file that cannot be mapped.
    """

    def __init__(self, path: str | Path, options: MapOptions) -> None:
        self.path = str(path)
        with _readable(self.path):
            self.raster = rasterio.open(self.path)
        self.height, self.width = self.raster.shape
        self.crs, self.transform = self.raster.crs, self.raster.transform
        self.is_measurable = is_measurable(self.crs, self.transform, self.height, self.width)
        self.bands = _choose_bands(self.raster, options.bands)
        self.nodata = options.nodata
        self.aoi = None
        if options.aoi:
            self.aoi = AreaOfInterest(options.aoi, self.crs if self.is_measurable else None)
        # For each band the sample values that become 0 and 255; None if samples have 8 bits.
        self.ranges = self._choose_ranges(options.scale)
        most = 2**8 - 1 if self.ranges is None else 2**16 - 1
        if self.nodata is not None and not 0 <= self.nodata <= most:
            raise UserError(
                f"{self.path}: no sample is {self.nodata:g}, the nodata value: they are 0 to {most}"
            )

    @property
    def name(self) -> str:
        """The name without folder and suffix. The names of the outputs begin with it."""
        return Path(self.path).stem

    @property
    def source(self) -> str:
        """The absolute path of a file, or the text with which GDAL opens something else."""
        return os.path.abspath(self.path) if os.path.isfile(self.path) else self.path

    @property
    def mark(self) -> str:
        """A hash of `source`: it differs between folders, but does not name them."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]

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
            "bands": self.bands,
            "ranges": self.ranges,
            "nodata": self.nodata,
            "aoi": self.aoi and self.aoi.shapes,
        }

    def read(
        self, top: int, bottom: int, left: int = 0, right: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Read rows `top` to `bottom`: the image, uint8 (3, rows, W), and which pixels to map.

        `left` and `right` leave out columns.

        Raises `UserError` if the file is cut short or broken.
        """
        width = (self.width if right is None else right) - left
        window = Window(left, top, width, bottom - top)
        image, valid = self._read(window)
        if self.aoi is not None:
            valid &= self.aoi.mask(window_transform(window, self.transform), *valid.shape)
        return self._to_8_bits(image), valid

    def overview(self, limit: int) -> np.ndarray:
        """Read the whole scene smaller, no side longer than `limit`: uint8 RGB (h, w, 3)."""
        shrink = max(1, max(self.height, self.width) / limit)
        shape = (3, max(1, int(self.height / shrink)), max(1, int(self.width / shrink)))
        with _readable(self.path):
            image = self.raster.read(self.bands, out_shape=shape, resampling=Resampling.average)
        return np.ascontiguousarray(self._to_8_bits(image).transpose(1, 2, 0))

    def _to_8_bits(self, image: np.ndarray) -> np.ndarray:
        if self.ranges is None:
            return image
        result = np.empty(image.shape, np.uint8)
        for band, target, (low, high) in zip(image, result, self.ranges, strict=True):
            levels = np.float32(255 / (high - low)) * (band - np.float32(low))
            target[:] = np.clip(levels + 0.5, 0, 255)
        return result

    def _choose_ranges(self, scale: tuple[float, float] | None) -> list[tuple[float, float]] | None:
        types = {self.raster.dtypes[band - 1] for band in self.bands}
        if types not in ({"uint8"}, {"uint16"}):
            raise UserError(
                f"{self.path}: samples are {', '.join(sorted(types))}; uint8 and uint16 are mapped"
            )
        if types == {"uint8"}:
            return None
        if scale is not None:
            return [scale] * 3
        pieces = [self._read(window) for window in self._pieces()]
        samples = np.concatenate([image[:, valid] for image, valid in pieces], axis=1)  # (3, N)
        if not samples.size:
            return [(0.0, 65535.0)] * 3
        low, high = np.percentile(samples, PERCENTILES, axis=1)
        return [(float(a), float(max(b, a + 1))) for a, b in zip(low, high, strict=True)]

    def _pieces(self) -> Iterator[Window]:
        """Yield small windows spread evenly over the scene."""
        height, width = min(PIECE_SIZE, self.height), min(PIECE_SIZE, self.width)
        for row, column in product(range(PIECES), repeat=2):
            top = row * (self.height - height) // (PIECES - 1)
            left = column * (self.width - width) // (PIECES - 1)
            yield Window(left, top, width, height)

    def _read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        with _readable(self.path, f"cannot be read at rows {window.row_off} and below"):
            image = self.raster.read(self.bands, window=window)
            flags = [self.raster.mask_flag_enums[band - 1] for band in self.bands]
            if all(found == [MaskFlags.nodata] for found in flags):
                # As with `nodata`: only the bands that are mapped count.
                valid = self.raster.read_masks(self.bands, window=window).any(axis=0)
            else:
                valid = self.raster.dataset_mask(window=window) > 0
        if self.nodata is not None:
            valid &= (image != self.nodata).any(axis=0)
        return image, valid


def _choose_bands(raster: rasterio.DatasetReader, bands: Sequence[int] | None) -> list[int]:
    bands = colour_bands(raster) if bands is None else bands
    if len(bands) != 3 or not all(1 <= band <= raster.count for band in bands):
        raise UserError(
            f"{raster.name}: it has {raster.count} bands, bands {list(bands)} were asked for; "
            "give the numbers of the red, green and blue band, as in --bands 1 2 3"
        )
    return list(bands)


@contextmanager
def _readable(path: str, problem: str = "not a readable raster") -> Iterator[None]:
    try:
        yield
    except RasterioIOError as error:
        raise UserError(
            f"{path}: {problem}, or cut short ({reason(error.__cause__ or error)}); get the file "
            "again"
        ) from error
