"""The confusion counts of each image of a test, and the intervals of scores from them."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg.errors import UserError
from mmseg.evaluation.confusion import Scores, scores_of_pixels
from mmseg.files import whole_file


@dataclass(frozen=True)
class ImageCounts:
    """Confusion counts of N images.

    `classes` (K,) and the paths `names` and `masks` and the places `groups`, all (N,), hold str.
    Images of one place are not independent of each other. `cells` (M,) are the places of the
    non-zero `counts` (M,) in flattened confusion matrices, whose rows are the ground truth, and
    `starts` (N + 1,) says where those of each image begin; all int64. Whole matrices of 2,000
    ADE20K images would take 360 MB.
    """

    classes: np.ndarray
    names: np.ndarray
    masks: np.ndarray
    groups: np.ndarray
    starts: np.ndarray
    cells: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, classes: Sequence[str], images: Sequence[tuple]) -> "ImageCounts":
        """Join the (name, mask, group, cells, counts) of each image of a test."""
        names, masks, groups, cells, counts = zip(*images, strict=True) if images else ((),) * 5
        texts = [np.array(each, str) for each in (classes, names, masks, groups)]
        empty = np.zeros(0, np.int64)
        joined = [np.concatenate([empty, *each]) for each in (cells, counts)]
        return cls(*[*texts, np.cumsum([0, *map(len, cells)]), *joined])

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
            np.savez_compressed(file, **vars(self))

    def __len__(self) -> int:
        return len(self.names)

    def matrix(self, images: slice = slice(None)) -> np.ndarray:
        """Return the confusion matrix of images, by default of all of them, int64 (K, K)."""
        size, (first, stop, _) = len(self.classes), images.indices(len(self))
        these = slice(self.starts[first], self.starts[stop])
        counts = np.bincount(self.cells[these], self.counts[these], size**2)  # exact below 2**53
        return counts.reshape(size, size).astype(np.int64)

    def class_counts(self) -> np.ndarray:
        """Return the right, labelled and predicted pixels of images by class, float64 (3, N, K)."""
        shape = len(self), len(self.classes)
        first = np.repeat(np.arange(len(self)) * shape[1], np.diff(self.starts))
        truth, found = np.divmod(self.cells, shape[1])
        right = self.counts * (truth == found)
        sums = ((truth, right), (truth, self.counts), (found, self.counts))
        tables = [np.bincount(first + k, pixels, np.prod(shape)) for k, pixels in sums]
        return np.reshape(tables, (3, *shape))


DRAWS = 1000  # of the images of a test (Efron and Tibshirani, 1993)


def drawn_weights(groups: np.ndarray) -> np.ndarray:
    """Draw how often each image counts in each of `DRAWS` samples, uint16 (1 + DRAWS, N).

    The first row is the test itself, where each image counts once. `groups` (N,) names the place of
    each image. Whole places are drawn, with replacement. A single place tells nothing about others:
    its drawn weights are 0, so that no score has an interval.
    """
    _, member = np.unique(groups, return_inverse=True)
    rng, count = np.random.default_rng(0), member.max(initial=-1) + 1
    times = np.ones((1 + DRAWS, count), np.uint16)
    for row in times[1:]:
        row[:] = np.bincount(rng.integers(count, size=count), minlength=count) * (count > 1)
    return times[:, member]


def drawn_scores(counts: ImageCounts, weights: np.ndarray) -> Scores:
    """Return the scores for each row of weights: per class (1 + DRAWS, K), of all (1 + DRAWS,)."""
    pixels = counts.class_counts()
    # Blocks, because all weights as float64, which BLAS multiplies, take 800 MB for 100,000 images.
    sums = [block.astype(np.float64) @ pixels for block in np.array_split(weights, 20)]
    return scores_of_pixels(np.concatenate(sums, axis=1))


def interval(values: np.ndarray) -> np.ndarray:
    """Return the ends of the 95 % interval of scores (1 + DRAWS, ...), float64 (2, ...).

    They are NaN if no sample has the score.
    """
    drawn = values[1:]
    known = ~np.isnan(drawn).all(0)
    ends = np.nanpercentile(np.where(known, drawn, 0), [2.5, 97.5], axis=0)
    return np.where(known, ends, np.nan)
