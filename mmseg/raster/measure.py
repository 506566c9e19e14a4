"""Measures of a finished map: the area of each class, and the comparison with the ground truth."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
import torch
from mmengine.logging import MMLogger
from rasterio.errors import RasterioError
from rasterio.windows import Window

from mmseg.errors import UserError
from mmseg.evaluation.confusion import confusion_matrix
from mmseg.imagery.mask import to_train_ids
from mmseg.raster.cog import NODATA
from mmseg.raster.georeference import is_measurable, project
from mmseg.raster.scene import Scene

ROWS = 512  # read at a time: the height of a block


def row_windows(raster: rasterio.DatasetReader, rows: int = ROWS) -> Iterator[Window]:
    """Divide a raster into windows of its whole width, `rows` high; the last may be lower."""
    for top in range(0, raster.height, rows):
        yield Window(0, top, raster.width, min(rows, raster.height - top))


def read_rows(path: str, masked: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, values (rows, W)) of the first band, `masked` where it has no data."""
    try:
        with rasterio.open(path) as raster:
            for window in row_windows(raster):
                yield window.row_off, raster.read(1, window=window, masked=masked)
    except RasterioError as error:
        raise UserError(f"{path}: not a readable raster, or cut short") from error


@dataclass(frozen=True)
class ClassAreas:
    """Pixels, int64 (K,), and hectares, float64 (K,), of each class.

    `hectares` is None if the place of the scene is unknown.
    """

    pixels: np.ndarray
    hectares: np.ndarray | None

    def to_csv(self, classes: Sequence[str]) -> str:
        """Return a table with one line per class; percent are of the mapped area."""
        weights = self.pixels if self.hectares is None else self.hectares
        percent = 100 * weights / max(weights.sum(), np.finfo(float).tiny)
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["class_id", "class_name", "pixels", "hectares", "percent"])
        for index, name in enumerate(classes):
            hectares = "" if self.hectares is None else f"{self.hectares[index]:.4f}"
            table.writerow([index, name, self.pixels[index], hectares, f"{percent[index]:.2f}"])
        return text.getvalue()


def add_areas(areas: Sequence[ClassAreas]) -> ClassAreas:
    """Add the areas of several maps; hectares are None if one of them has none."""
    hectares = [each.hectares for each in areas if each.hectares is not None]
    pixels = np.sum([each.pixels for each in areas], axis=0)
    return ClassAreas(pixels, np.sum(hectares, axis=0) if len(hectares) == len(areas) else None)


def class_areas(path: str, num_classes: int, row_areas: np.ndarray | None) -> ClassAreas:
    """Count the pixels of each class; `row_areas` (H,) is the area in m2 of a pixel of each row."""
    pixels, hectares = np.zeros(num_classes, np.int64), np.zeros(num_classes)
    for top, ids in read_rows(path):
        for row, row_ids in enumerate(ids, start=top):
            counts = np.bincount(row_ids, minlength=num_classes)[:num_classes]
            pixels += counts
            hectares += 0 if row_areas is None else counts * (row_areas[row] / 10_000)
    return ClassAreas(pixels, None if row_areas is None else hectares)


def compare(path: str, truth: str, meta: Mapping[str, Any]) -> np.ndarray:
    """Return the confusion matrix of a map, int64 (K, K): rows are the truth's classes.

    The truth has the values of the data set's masks: if `meta` has `reduce_zero_label`, 0 is
    ignored and k is class k - 1. A pixel does not count if its truth is 255 or nodata, or if the
    map has no class there.
    """
    num_classes, reduce_zero_label = len(meta["classes"]), meta.get("reduce_zero_label", False)
    total = np.zeros((num_classes, num_classes), np.int64)
    for (_, ids), (_, known) in zip(read_rows(path), read_rows(truth, masked=True), strict=True):
        values = np.ma.filled(known.astype(np.int64), NODATA)
        values[ids == NODATA] = NODATA
        labels = to_train_ids(values, num_classes, reduce_zero_label, truth)
        pair = torch.from_numpy(ids), torch.from_numpy(labels)
        total += confusion_matrix(*pair, num_classes).numpy()
    return total


def check_truth(truth: str, scene: Scene, meta: Mapping[str, Any]) -> None:
    """Raise `UserError` unless `truth` is one band of class ids on the scene's own pixels."""
    try:
        with rasterio.open(truth) as raster:
            (height, width), count, dtype = raster.shape, raster.count, raster.dtypes[0]
            crs, transform, nodata = raster.crs or scene.crs, raster.transform, raster.nodata
    except RasterioError as error:
        raise UserError(f"{truth}: not a readable raster") from error
    if (height, width) != (scene.height, scene.width):
        raise UserError(
            f"{truth}: the truth has {width} x {height} pixels, the scene {scene.width} x "
            f"{scene.height}"
        )
    if count != 1 or not np.issubdtype(dtype, np.integer):
        raise UserError(
            f"{truth}: the truth has {count} bands of {dtype}; one band of class ids is compared"
        )
    names = dict(enumerate(meta["classes"], start=1 if meta.get("reduce_zero_label") else 0))
    if nodata in names:
        MMLogger.get_current_instance().info(
            f"{truth}: its nodata value is {nodata:g}, the id of {names[nodata]!r}: pixels of that "
            "class are not compared"
        )
    if scene.is_measurable and is_measurable(crs, transform, height, width):
        corners = np.array([(0, width, 0), (0, 0, height)])
        found = np.stack(~scene.transform * project(transform, crs, scene.crs, *corners))
        if not np.abs(found - corners).max() <= 0.5:
            raise UserError(
                f"{truth}: the truth lies elsewhere than the scene: its upper left corner is at "
                f"column {found[0, 0]:.1f}, row {found[1, 0]:.1f} of {scene.path}"
            )
