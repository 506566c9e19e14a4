"""The area of each class on a map."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg.raster.rows import read_rows


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


def class_areas(path: str, num_classes: int, row_areas: np.ndarray | None) -> ClassAreas:
    """Count the pixels of each class; `row_areas` (H,) is the area in m2 of a pixel of each row."""
    pixels, hectares = np.zeros(num_classes, np.int64), np.zeros(num_classes)
    for top, ids in read_rows(path):
        for row, row_ids in enumerate(ids, start=top):
            counts = np.bincount(row_ids, minlength=num_classes)[:num_classes]
            pixels += counts
            hectares += 0 if row_areas is None else counts * (row_areas[row] / 10_000)
    return ClassAreas(pixels, None if row_areas is None else hectares)
