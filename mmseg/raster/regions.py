"""Regions: the connected pieces of a class on a map, found a few rows at a time.

Pixels are connected by their sides. Tables over the labels of the pieces say which labels are one
region, how large it is and which others it touches. Memory grows with the number of regions.

`rasterio.features.sieve` cannot do this. It counts pixels, but the area of a pixel in degrees
depends on its row. It keeps small regions among small ones, and holds the whole map in memory.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmseg.raster.strips import NODATA


@dataclass(frozen=True)
class Regions:
    """Tables by region: uint8 `classes`, `areas` in m2, `confidence` 0 to 1. Region 0 is nodata.

    `of_label` gives the region of each label.
    """

    classes: np.ndarray
    areas: np.ndarray
    confidence: np.ndarray
    of_label: np.ndarray


class RegionTable:
    """Collects the facts of the labels of a map. Label 0 is nodata."""

    def __init__(self) -> None:
        self.count = 1
        # By label: m2, number of pixels and sum of confidences.
        self.sums: list[np.ndarray] = [np.zeros((3, 1))]
        self.classes = [np.array([NODATA], np.uint8)]
        self.pairs: list[np.ndarray] = []
        self.last_row: np.ndarray | None = None

    def add(self, ids: np.ndarray, confidence: np.ndarray, row_areas: np.ndarray) -> np.ndarray:
        """Label the next rows, uint8 (rows, W) with confidences 0 to 1; return int32 (rows, W)."""
        labels, classes = _label(ids)
        size = len(classes) + 1
        sums = np.zeros((3, size))
        for row_labels, row_confidence, area in zip(labels, confidence, row_areas, strict=True):
            pixels = np.bincount(row_labels, minlength=size)
            sums += pixels * area, pixels, np.bincount(row_labels, row_confidence, size)
        labels[labels > 0] += self.count - 1
        above = labels[:0] if self.last_row is None else self.last_row
        rows = np.concatenate([above, labels])
        self.pairs += [_touching(labels[:, 1:], labels[:, :-1]), _touching(rows[1:], rows[:-1])]
        self.last_row = labels[-1:].copy()
        self.count += len(classes)
        self.sums.append(sums[:, 1:])
        self.classes.append(classes)
        return labels

    def regions(self, min_area: float) -> Regions:
        """Join the labels to regions of at least `min_area` m2, unless they have no neighbours.

        A smaller region goes to its largest neighbour and takes its class. The confidence is the
        mean over those pixels of the region that have its class on the map itself.
        """
        classes, sums = np.concatenate(self.classes), np.concatenate(self.sums, axis=1)
        pairs = np.concatenate([np.zeros((0, 2), np.int64), *self.pairs])
        of_label = _join(classes, pairs)
        areas = np.bincount(of_label, sums[0])
        group = _absorb(areas, of_label[pairs], min_area)[of_label]
        # The class of the largest region of each group: it is written last and stays.
        order = np.argsort(areas[of_label], kind="stable")
        group_classes = np.zeros(group.max() + 1, np.uint8)
        group_classes[group[order]] = classes[order]
        # Two groups of one class may touch now that the small region between them is gone.
        joined = _join(group_classes, group[pairs])
        region = joined[group]
        region_classes = np.zeros(region.max() + 1, np.uint8)
        region_classes[joined] = group_classes
        is_own = classes == region_classes[region]
        pixels = np.bincount(region, sums[1] * is_own)
        confidence = np.bincount(region, sums[2] * is_own) / np.maximum(pixels, 1)
        return Regions(region_classes, np.bincount(region, sums[0]), confidence, region)


def _label(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the pieces of each class from 1; return int32 labels and the class of each."""
    labels = np.zeros(ids.shape, np.int32)
    classes = np.zeros(0, np.uint8)
    for class_id in np.unique(ids[ids != NODATA]):
        found, pieces = label(ids == class_id)
        labels += np.where(found > 0, found + np.int32(len(classes)), np.int32(0))
        classes = np.append(classes, np.full(pieces, class_id, np.uint8))
    return labels, classes


def _touching(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the pairs of labels that lie opposite each other, each pair once: int64 (P, 2)."""
    different = (one != other) & (one > 0) & (other > 0)
    ends = np.sort(np.stack([one[different], other[different]], axis=1).astype(np.int64), axis=1)
    keys = np.unique((ends[:, 0] << 32) | ends[:, 1])
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)


def _join(classes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Number the groups of items that `pairs` join and that have one class; item 0 is in group 0.

    The class of item i is `classes[i]`.
    """
    # int32 is enough for labels. Given int64, older scipy (seen: 1.11) returns wrong groups.
    ends = pairs[classes[pairs[:, 0]] == classes[pairs[:, 1]]].astype(np.int32).T
    graph = coo_array((np.ones(ends.shape[1], bool), tuple(ends)), (len(classes),) * 2)
    return connected_components(graph, directed=False)[1]


def _absorb(areas: np.ndarray, pairs: np.ndarray, min_area: float) -> np.ndarray:
    """Return the group of each region after small ones went to their largest neighbours."""
    group = np.arange(len(areas))
    while True:
        group_areas = np.bincount(group, areas)
        ends = group[pairs]
        ends = np.concatenate([ends, ends[:, ::-1]])
        small, neighbour = ends[(ends[:, 0] != ends[:, 1]) & (group_areas[ends[:, 0]] < min_area)].T
        if not len(small):
            return group
        order = np.lexsort((neighbour, group_areas[neighbour], small))
        small, neighbour = small[order], neighbour[order]
        is_last = np.append(small[1:] != small[:-1], True)  # the largest neighbour comes last
        pointers = np.stack([small[is_last], neighbour[is_last]], axis=1)
        group = _join(np.zeros(len(group_areas)), pointers)[group]
