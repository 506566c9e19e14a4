"""Regions: the connected pieces of a class on a map, found a few rows at a time.

Pixels are connected by their sides. The map is labelled in pieces of rows whose labels meet at the
borders; tables over labels then say which are one region, how large it is and what it touches.
Memory grows with the number of regions, not with that of pixels.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmseg.raster.cog import NODATA


@dataclass(frozen=True)
class Regions:
    """Tables by id: uint8 `classes`, `areas` in m2, `confidence` 0 to 1; id 0 is what has no map.

    `of_label` gives the id of each label of the raster of labels.
    """

    classes: np.ndarray
    areas: np.ndarray
    confidence: np.ndarray
    of_label: np.ndarray


class RegionTable:
    """Collects what the labelled rows of a map say of their labels; label 0 is nodata."""

    def __init__(self) -> None:
        self.count = 1
        # m2, pixels and sum of confidences, by label.
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
        self.pairs += [_touching(labels[:, 1:], labels[:, :-1]), _touching(labels[1:], labels[:-1])]
        if self.last_row is not None:
            self.pairs.append(_touching(self.last_row, labels[0]))
        self.last_row = labels[-1].copy()
        self.count += len(classes)
        self.sums.append(sums[:, 1:])
        self.classes.append(classes)
        return labels

    def regions(self, min_area: float) -> Regions:
        """Join the labels to regions of at least `min_area` m2, where they have neighbours at all.

        A smaller one goes to its largest neighbour and takes its class. The confidence is the mean
        over the pixels that the map itself gives that class.
        """
        classes, sums = np.concatenate(self.classes), np.concatenate(self.sums, axis=1)
        pairs = np.concatenate([np.zeros((0, 2), np.int64), *self.pairs])
        of_label = _join(len(classes), pairs[classes[pairs[:, 0]] == classes[pairs[:, 1]]])
        areas = np.bincount(of_label, sums[0])
        whole = _absorb(areas, of_label[pairs], min_area)[of_label]
        # The class of the largest region of each group: written last, it stays.
        order = np.argsort(areas[of_label], kind="stable")
        group_classes = np.zeros(whole.max() + 1, np.uint8)
        group_classes[whole[order]] = classes[order]
        # What lay on two sides of a small region may now be one.
        ends = whole[pairs]
        joined = _join(
            len(group_classes), ends[group_classes[ends[:, 0]] == group_classes[ends[:, 1]]]
        )
        final = joined[whole]
        final_classes = np.zeros(final.max() + 1, np.uint8)
        final_classes[joined] = group_classes
        own = classes == final_classes[final]
        pixels = np.bincount(final, sums[1] * own)
        confidence = np.bincount(final, sums[2] * own) / np.maximum(pixels, 1)
        return Regions(final_classes, np.bincount(final, sums[0]), confidence, final)


def _label(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label the pieces of each class from 1; return int32 labels and the class of each."""
    labels = np.zeros(ids.shape, np.int32)
    classes: list[np.ndarray] = []
    count = 0
    for class_id in np.unique(ids[ids != NODATA]):
        found, pieces = label(ids == class_id)
        labels += np.where(found > 0, found + np.int32(count), np.int32(0))
        classes.append(np.full(pieces, class_id, np.uint8))
        count += pieces
    return labels, np.concatenate(classes) if classes else np.zeros(0, np.uint8)


def _touching(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the pairs of labels that lie opposite each other, each pair once: int64 (P, 2)."""
    different = (one != other) & (one > 0) & (other > 0)
    ends = np.sort(np.stack([one[different], other[different]], axis=1).astype(np.int64), axis=1)
    keys = np.unique((ends[:, 0] << 32) | ends[:, 1])
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)


def _join(count: int, pairs: np.ndarray) -> np.ndarray:
    """Number the groups that `pairs` join among `count` items; item 0 is in group 0."""
    # Labels fit int32; given int64, older scipy (seen: 1.11) returns garbage instead of groups.
    ends = pairs.astype(np.int32).T
    graph = coo_array((np.ones(len(pairs), bool), (ends[0], ends[1])), (count, count))
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
        largest = np.append(small[1:] != small[:-1], True)  # the last entry of each small region
        pointers = np.stack([small[largest], neighbour[largest]], axis=1)
        group = _join(len(group_areas), pointers)[group]
