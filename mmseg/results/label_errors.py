"""Places whose label is probably wrong (confident learning, Northcutt et al., arXiv 1911.00068)."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
import shapely
from rasterio import Affine
from rasterio.errors import RasterioError
from rasterio.features import geometry_mask, shapes

from mmseg.files import whole_file
from mmseg.raster.vector_files import reproject, to_ground, write_layer

IGNORED = 255
CORE = np.ones((3, 3), np.uint8)
COLUMNS = ("image", "label", "probably", "pixels", "score", "left", "top", "right", "bottom")


@dataclass(frozen=True)
class Suspect:
    """Connected pixels that are labelled as `label` and that the model takes for `found`.

    `probability` is the mean probability of the class found, and `score`, -1 to 1, by how much that
    of the label is less. `outline` is in columns and rows of the image; the first pixel reaches
    from 0 to 1.
    """

    image: str
    label: int
    found: int
    probability: float
    score: float
    outline: shapely.Polygon

    def cells(self, classes: Sequence[str]) -> list[object]:
        """Return the cells of `COLUMNS`."""
        names = classes[self.label], classes[self.found]
        box = map(int, self.outline.bounds)
        return [self.image, *names, int(self.outline.area), round(self.score, 4), *box]


class LabelErrors:
    """Collects suspects image by image. `trust` is the mean probability of the labels of each."""

    def __init__(self, num_classes: int, min_pixels: int) -> None:
        self.min_pixels = min_pixels
        self.candidates: list[Suspect] = []
        self.trust: list[tuple[str, float]] = []
        self.sums = np.zeros((2, num_classes))

    def add(self, image: str, prob: np.ndarray, label: np.ndarray) -> None:
        """Compare probabilities (K, H, W) with labels (H, W) of uint8."""
        known, classes = label != IGNORED, len(prob)
        labels = np.where(known, label, 0).astype(int)
        own = np.take_along_axis(prob, labels[None], 0)[0]
        found, largest = prob.argmax(0), prob.max(0)
        for kind, weights in enumerate((own[known], None)):
            self.sums[kind] += np.bincount(labels[known], weights, classes)
        self.trust.append((image, float(own[known].mean()) if known.any() else np.nan))
        # Label and found class in one number, which is 0 where they agree.
        pairs = np.where(known & (found != labels), labels * classes + found, 0).astype(np.uint16)
        # Strips along edges, where a model is never sure, are no suspects: what is left lies in
        # squares of 3 x 3 equal pixels.
        core = (pairs > 0) & (cv2.erode(pairs, CORE) == cv2.dilate(pairs, CORE))
        wide = np.logical_and(cv2.dilate(core.astype(np.uint8), CORE), pairs)
        for geometry, pair in shapes(pairs, mask=wide):
            outline = shapely.geometry.shape(geometry)
            if outline.area >= self.min_pixels:
                inside = geometry_mask([geometry], label.shape, Affine.identity(), invert=True)
                sure = float(largest[inside].mean())
                score = sure - float(own[inside].mean())
                pair = divmod(int(pair), classes)
                self.candidates.append(Suspect(image, *pair, sure, score, outline))

    def suspects(self, least: float) -> list[Suspect]:
        """Return the suspects, the surest first, whose score is at least `least`.

        A candidate counts if its class is as probable as that class is, on average, where it is
        labelled: this is the threshold of confident learning.
        """
        thresholds = self.sums[0] / np.maximum(self.sums[1], 1)
        kept = [each for each in self.candidates if each.score >= least]
        kept = [each for each in kept if each.probability >= thresholds[each.found]]
        return sorted(kept, key=lambda each: (-each.score, each.image))


def crop_with_outline(image: np.ndarray, suspect: Suspect, side: int = 240) -> np.ndarray:
    """Return the surroundings of a suspect, RGB (side, side, 3), with its outline in yellow."""
    low, high = np.reshape(suspect.outline.bounds, (2, 2)).astype(int)
    reach = int((high - low).max() * 0.75) + 16
    padded = np.pad(image, [(reach, reach), (reach, reach), (0, 0)], constant_values=255)
    corners = np.array(suspect.outline.exterior.coords).astype(int)
    drawn = cv2.polylines(padded, [corners + reach], True, (255, 220, 0))
    left, top = (low + high) // 2
    window = drawn[top : top + 2 * reach, left : left + 2 * reach]
    return cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)


def write_suspect_layer(path: Path, suspects: Iterable[Suspect], classes: Sequence[str]) -> bool:
    """Write the outlines as polygons of a GeoPackage; return whether any image has a CRS.

    All are in the CRS of the first image. Images without one are left out.
    """
    outlines, rows, crs = [], [], None
    for each in suspects:
        own = None
        with suppress(RasterioError), rasterio.open(each.image) as raster:
            own, place = raster.crs, raster.transform
        if own is not None:
            crs = crs or own
            outlines.append(reproject(to_ground(each.outline, place), own, crs))
            rows.append(each.cells(classes))
    if crs is not None:
        fields = {k: np.array([row[i] for row in rows]) for i, k in enumerate(COLUMNS[:5])}
        with whole_file(path) as part:
            write_layer(part, np.array(outlines), fields, crs, "suspects")
    return crs is not None
