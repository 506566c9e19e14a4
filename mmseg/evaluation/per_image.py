"""The confusion counts of each image of a test, which the test keeps in a file."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmseg.errors import UserError
from mmseg.files import whole_file


class ImageResult(NamedTuple):
    """What a test keeps of one image. `cells` are the places of the non-zero counts.

    They are the `counts` of the flattened confusion matrix, whose rows are the ground truth. Whole
    matrices of 2,000 ADE20K images would take 360 MB.
    """

    name: str
    mask: str
    group: str
    cells: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class ImageCounts:
    """Confusion counts of N images, as `ImageResult` describes them.

    `classes` (K,) and the paths `names` and `masks` and the places `groups`, all (N,), hold str.
    Images of one place are not independent of each other. `starts` (N + 1,) says where the values
    of each image begin in `cells` and `counts` (M,), all int64.
    """

    classes: np.ndarray
    names: np.ndarray
    masks: np.ndarray
    groups: np.ndarray
    starts: np.ndarray
    cells: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, classes: Sequence[str], images: Sequence[ImageResult]) -> "ImageCounts":
        """Join the results of the images of a test."""
        names, masks, groups, cells, counts = zip(*images, strict=True) if images else ((),) * 5
        empty = np.zeros(0, np.int64)
        return cls(
            np.array(classes, str),
            np.array(names, str),
            np.array(masks, str),
            np.array(groups, str),
            np.cumsum([0, *map(len, cells)]),
            np.concatenate([empty, *cells]),
            np.concatenate([empty, *counts]),
        )

    @classmethod
    def load(cls, path: Path) -> "ImageCounts":
        """Read what `save` wrote; `UserError` for any other file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(**{key: file[key] for key in cls.__annotations__})
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path}: no counts of single images; run tools/test.py again, which writes them"
            ) from error

    def save(self, path: Path) -> None:
        """Write one .npz file."""
        with whole_file(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, **{key: getattr(self, key) for key in self.__annotations__})

    def __len__(self) -> int:
        return len(self.names)

    def matrices(self) -> Iterator[np.ndarray]:
        """Yield the confusion matrix of each image, int64 (K, K)."""
        size = len(self.classes)
        for start, end in zip(self.starts[:-1], self.starts[1:], strict=True):
            matrix = np.zeros((size, size), np.int64)
            matrix.flat[self.cells[start:end]] = self.counts[start:end]
            yield matrix

    def total(self) -> np.ndarray:
        """Return the confusion matrix of all images, int64 (K, K)."""
        size = len(self.classes)
        matrix = np.zeros(size * size, np.int64)
        np.add.at(matrix, self.cells, self.counts)
        return matrix.reshape(size, size)

    def class_counts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the right, labelled and predicted pixels of each image and class, int64 (N, K)."""
        image = np.repeat(np.arange(len(self)), np.diff(self.starts))
        truth, predicted = np.divmod(self.cells, len(self.classes))
        right, labelled, found = np.zeros((3, len(self), len(self.classes)), np.int64)
        is_right = truth == predicted
        right[image[is_right], truth[is_right]] = self.counts[is_right]
        np.add.at(labelled, (image, truth), self.counts)
        np.add.at(found, (image, predicted), self.counts)
        return right, labelled, found
