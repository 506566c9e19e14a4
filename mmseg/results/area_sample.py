"""Points drawn at random in the strata of a map, and the classes found at points."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import RasterioError
from rasterio.warp import transform as transform_points

from mmseg.errors import UserError, reason
from mmseg.files import whole_file
from mmseg.raster.georeference import is_measurable, row_areas
from mmseg.raster.measure import read_rows

FIELD = "reference"
NODATA = 255


class ClassMap:
    """A raster of class ids with its place, as `map_orthophoto` writes it.

    `areas` is the area of a pixel of each row in m2, float64 (H,). `classes` are the names in the
    tags of the file, or the ids. `mask` is a raster on the same pixels. Where it has no data or
    255, the map counts as not mapped.
    """

    def __init__(self, path: str, mask: str | None = None) -> None:
        self.path, self.mask = path, mask
        try:
            with rasterio.open(path) as raster:
                self.shape, self.crs, self.transform = raster.shape, raster.crs, raster.transform
                dtype, tags = raster.dtypes[0], raster.tags()
        except RasterioError as error:
            raise UserError(f"{path}: not a readable raster") from error
        if dtype != "uint8":
            raise UserError(f"{path}: its values are {dtype}; a map has class ids of uint8")
        if not is_measurable(self.crs, self.transform, *self.shape):
            raise UserError(f"{path}: has no CRS and place on the Earth, so that nothing has areas")
        names = {int(k[6:]): v for k, v in tags.items() if k.startswith("CLASS_")}
        if mask is not None:
            self._check_mask(mask)
        last = max(int(ids.max(initial=0, where=ids != NODATA)) for _, ids in self.rows())
        count = max(last + 1, *(k + 1 for k in names), 1)
        self.classes = [names.get(k, str(k)) for k in range(count)]
        self.areas = row_areas(self.transform, self.crs, *self.shape)

    def _check_mask(self, mask: str) -> None:
        try:
            with rasterio.open(mask) as raster:
                same = raster.shape == self.shape
                same &= raster.transform.almost_equals(self.transform, 1e-6)
        except RasterioError as error:
            raise UserError(f"{mask}: not a readable raster") from error
        if not same:
            raise UserError(f"{mask}: does not lie on the pixels of {self.path}; align it first")

    def rows(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, ids (rows, W) of uint8)."""
        if self.mask is None:
            yield from read_rows(self.path)
            return
        pairs = zip(read_rows(self.path), read_rows(self.mask, masked=True), strict=True)
        for (top, ids), (_, known) in pairs:
            yield top, np.where(np.ma.filled(known, NODATA) == NODATA, NODATA, ids)

    def rows_of_classes(self) -> np.ndarray:
        """Return the area in m2 of each class in each row, float64 (K, H)."""
        table = np.zeros((len(self.classes), self.shape[0]))
        for top, ids in self.rows():
            for row, values in enumerate(ids, start=top):
                table[:, row] = np.bincount(values, minlength=256)[: len(table)] * self.areas[row]
        return table

    def pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return row and column, int64 (N,), of places in the CRS of the map."""
        columns, rows = ~self.transform * (x, y)
        return np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)


def values_at(path: str, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the values (N,) of a raster at pixels, `NODATA` beside it and where it has none."""
    found = np.full(len(rows), NODATA, np.int64)
    for top, ids in read_rows(path, masked=True):
        values = np.ma.filled(ids.astype(np.int64), NODATA)
        inside = (rows >= top) & (rows < top + len(ids)) & (columns >= 0)
        inside &= columns < ids.shape[1]
        found[inside] = values[rows[inside] - top, columns[inside]]
    return found


def draw_points(
    strata: ClassMap, table: np.ndarray, sizes: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `sizes` (K,) pixels of each class, with equal chances per area; return rows, columns.

    `table` is `strata.rows_of_classes()`. No pixel is drawn twice. The order is random, so that it
    does not tell the class.
    """
    rng = np.random.default_rng(seed)
    wanted = np.zeros(table.shape, np.int64)
    for k in np.flatnonzero(sizes):
        count = np.round(table[k] / strata.areas).astype(np.int64)  # pixels of the row
        # Rows are drawn by area. A row that is drawn more often than it has pixels gives them all.
        drawn = rng.multinomial(sizes[k], table[k] / table[k].sum())
        wanted[k] = np.minimum(drawn, count)
    rows, columns = [], []
    for top, ids in strata.rows():
        for row in range(top, top + len(ids)):
            for k in np.flatnonzero(wanted[:, row]):
                places = np.flatnonzero(ids[row - top] == k)
                chosen = rng.choice(places, wanted[k, row], replace=False)
                columns.extend(chosen)
                rows.extend([row] * len(chosen))
    order = rng.permutation(len(rows))
    return np.array(rows, np.int64)[order], np.array(columns, np.int64)[order]


def write_points(path: Path, strata: ClassMap, rows: np.ndarray, columns: np.ndarray) -> None:
    """Write the middles of pixels as a GeoPackage with an empty text field `reference`."""
    x, y = strata.transform * (columns + 0.5, rows + 0.5)
    if path.exists():
        raise UserError(f"{path}: exists, and may hold interpretations; name another file")
    with whole_file(path) as part:
        pyogrio.raw.write(
            part,
            geometry=shapely.to_wkb(shapely.points(x, y)),
            field_data=[np.arange(len(rows), dtype=np.int64), np.full(len(rows), None, object)],
            fields=["point", FIELD],
            geometry_type="Point",
            crs=strata.crs.to_wkt(),
            driver="GPKG",
            layer="reference",
        )


def read_points(path: str, strata: ClassMap) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Read interpreted points: rows and columns in the map, classes, int64 (N,), and the others.

    The last result is the number of points without an interpretation, which are left out.
    """
    try:
        meta, _, geometry, (texts,) = pyogrio.raw.read(path, columns=[FIELD])
    except (DataSourceError, DataLayerError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as points with the field {FIELD!r} ({reason(error)})"
        ) from error
    if meta["crs"] is None:
        raise UserError(f"{path}: has no CRS; set it in your GIS")
    points = shapely.from_wkb(geometry)
    if not np.all(shapely.get_type_id(points) == shapely.GeometryType.POINT):
        raise UserError(f"{path}: has other geometries than points")
    given = [text not in (None, "") and text == text for text in texts]
    classes = [
        _class_id(str(t), strata.classes, path) for t, ok in zip(texts, given, strict=True) if ok
    ]
    x, y = shapely.get_x(points)[given], shapely.get_y(points)[given]
    rows, columns = strata.pixels(*map(np.array, transform_points(meta["crs"], strata.crs, x, y)))
    return rows, columns, np.array(classes, np.int64), len(points) - len(x)


def _class_id(text: str, classes: Sequence[str], path: str) -> int:
    names = [name.strip().lower() for name in classes]
    word = text.strip().lower().removesuffix(".0")
    if word in names:
        return names.index(word)
    if word.isdigit() and int(word) < len(names):
        return int(word)
    raise UserError(f"{path}: {FIELD}={text!r} is no class: give one of {', '.join(classes)}")
