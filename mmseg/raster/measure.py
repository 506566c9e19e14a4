"""Measures of a finished map: the area of each class, and the comparison with the ground truth."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from mmseg.errors import UserError
from mmseg.evaluation.confusion import confusion_matrix
from mmseg.imagery.geotiff import readable
from mmseg.imagery.mask import check_size, compare_palettes, to_train_ids, warn_of_nodata
from mmseg.raster.georeference import ground_resolution, project
from mmseg.raster.scene import Scene
from mmseg.raster.strips import NODATA

ROWS = 512  # read at a time: the height of a block


def row_windows(raster: rasterio.DatasetReader, rows: int = ROWS) -> Iterator[Window]:
    """Divide a raster into windows of its whole width, `rows` high; the last may be lower."""
    for top in range(0, raster.height, rows):
        yield Window(0, top, raster.width, min(rows, raster.height - top))


def read_rows(path: str, masked: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, values (rows, W)) of the first band, `masked` where it has no data."""
    with readable(path), rasterio.open(path) as raster:
        for window in row_windows(raster):
            yield window.row_off, raster.read(1, window=window, masked=masked)


@dataclass(frozen=True)
class ClassAreas:
    """Pixels, int64 (K,), and hectares, float64 (K,), of each class; `nodata` has both of the rest.

    `hectares` is None if the place of the scene is unknown, and those of `nodata` are 0.
    """

    pixels: np.ndarray
    hectares: np.ndarray | None
    nodata: tuple[int, float] = (0, 0.0)

    def to_csv(self, classes: Sequence[str]) -> str:
        """Return a table: a line per class, in percent of the mapped area, and one for nodata."""
        weights = self.pixels if self.hectares is None else self.hectares
        percent = 100 * weights / max(weights.sum(), np.finfo(float).tiny)
        pixels, hectares = [*self.pixels, self.nodata[0]], [""] * (len(classes) + 1)
        if self.hectares is not None:  # to the cm2: a pixel may be 1 cm wide
            values = (*self.hectares, self.nodata[1])
            hectares = [f"{value:.8f}".rstrip("0").rstrip(".") for value in values]
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["class_id", "class_name", "pixels", "hectares", "percent"])
        names, shares = [*classes, "nodata"], [*(f"{share:.2f}" for share in percent), ""]
        ids = [*range(len(classes)), NODATA]
        table.writerows(zip(ids, names, pixels, hectares, shares, strict=True))
        return text.getvalue()


@dataclass(frozen=True)
class SceneMap:
    """A finished map: its file, the area of each class and, given the truth, the confusion matrix.

    The matrix is int64 (K, K), with a row for each class of the truth.
    """

    path: Path
    areas: ClassAreas
    confusion: np.ndarray | None


def add_areas(areas: Sequence[ClassAreas]) -> ClassAreas:
    """Add the areas of several maps; hectares are None if one of them has none."""
    hectares = [each.hectares for each in areas if each.hectares is not None]
    pixels = np.sum([each.pixels for each in areas], axis=0)
    nodata = sum(each.nodata[0] for each in areas), sum(each.nodata[1] for each in areas)
    all_have = len(hectares) == len(areas)
    return ClassAreas(pixels, np.sum(hectares, axis=0) if all_have else None, nodata)


def count_areas(
    blocks: Iterable[tuple[int, np.ndarray]], row_areas: np.ndarray | None, size: int
) -> np.ndarray:
    """Return the pixels of each value below `size` and their areas, float64 (2, size).

    `blocks` are the first row and the values (rows, W) of parts of a raster, and `row_areas` (H,)
    the area of a pixel of each row. Without it all areas are 0.
    """
    total = np.zeros((2, size))
    for top, values in blocks:
        for row, own in enumerate(values, start=top):
            counts = np.bincount(own[own < size], minlength=size)
            total += counts, counts * (0 if row_areas is None else row_areas[row])
    return total


def class_areas(path: str, num_classes: int, row_areas: np.ndarray | None) -> ClassAreas:
    """Count the pixels of each class; `row_areas` (H,) is the area in m2 of a pixel of each row."""
    pixels, areas = count_areas(read_rows(path), row_areas, NODATA + 1)
    hectares = None if row_areas is None else areas[:num_classes] / 10_000
    nodata = int(pixels[NODATA]), float(areas[NODATA]) / 10_000
    return ClassAreas(pixels[:num_classes].astype(np.int64), hectares, nodata)


def compare(path: str, truth: str, meta: Mapping[str, Any]) -> np.ndarray:
    """Return the confusion matrix of a map, int64 (K, K): rows are the truth's classes.

    The truth has the values of the data set's masks: if `meta` has `reduce_zero_label`, 0 is
    ignored and k is class k - 1. A pixel does not count if its truth is 255 or nodata, or if the
    map has no class there.
    """
    num_classes = len(meta["classes"])
    total = np.zeros((num_classes, num_classes), np.int64)
    for (_, ids), (_, known) in zip(read_rows(path), read_rows(truth, masked=True), strict=True):
        pair = torch.from_numpy(ids), torch.from_numpy(labels(known, ids != NODATA, truth, meta))
        total += confusion_matrix(*pair, num_classes).numpy()
    return total


def labels(known: np.ndarray, valid: np.ndarray, truth: str, meta: Mapping[str, Any]) -> np.ndarray:
    """Turn values of a truth into train ids, 255 where they are nodata or not `valid`."""
    values = np.where(valid, np.ma.filled(known.astype(np.int64), NODATA), NODATA)
    return to_train_ids(values, len(meta["classes"]), meta.get("reduce_zero_label", False), truth)


def check_truth(truth: str, scene: Scene, meta: Mapping[str, Any]) -> None:
    """Raise `UserError` unless `truth` is one band of class ids on the scene's own pixels.

    Ids that are no class may stand where the scene is not mapped.
    """
    with readable(truth), rasterio.open(truth) as raster:
        (height, width), count, dtype = raster.shape, raster.count, raster.dtypes[0]
        crs, transform, nodata = raster.crs or scene.crs, raster.transform, raster.nodata
    check_size(truth, (height, width), scene.path, scene.raster.shape)
    if count != 1 or not np.issubdtype(dtype, np.integer):
        raise UserError(f"{truth}: the truth has {count} bands of {dtype}, not one of class ids")
    warn_of_nodata(truth, nodata, meta)
    if scene.resolution and ground_resolution(transform, crs, height, width):
        corners = np.array([(0, width, 0), (0, 0, height)])
        found = np.stack(~scene.transform * project(transform, crs, scene.crs, *corners))
        if not np.abs(found - corners).max() <= 0.5:
            raise UserError(
                f"{truth}: the truth lies elsewhere than the scene: its upper left corner is at "
                f"column {found[0, 0]:.1f}, row {found[1, 0]:.1f} of {scene.path}"
            )
    compare_palettes([truth], meta)  # warns
    for top, known in read_rows(truth, masked=True):
        try:
            labels(known, np.ones(known.shape, bool), truth, meta)
        except UserError:
            _, valid = scene.read(Window(0, top, width, len(known)))
            labels(known, valid, truth, meta)
