"""Intervals of scores, by resampling the images of a test (Efron and Tibshirani, 1993)."""

import numpy as np

from mmseg.evaluation.confusion import class_scores
from mmseg.evaluation.per_image import ImageCounts

DRAWS = 1000
LEVEL = 95  # percent


def drawn_weights(groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw how often each image counts in each of `DRAWS` samples, uint16 (DRAWS, N).

    `groups` (N,) names the place of each image. Whole places are drawn, with replacement.
    """
    names, member = np.unique(groups, return_inverse=True)
    rng, count = np.random.default_rng(seed), len(names)
    times = np.empty((DRAWS, count), np.uint16)
    for draw in range(DRAWS):
        times[draw] = np.bincount(rng.integers(count, size=count), minlength=count)
    return times[:, member]


def drawn_scores(counts: ImageCounts, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores in percent of each sample: per class (DRAWS, K), of all (DRAWS,).

    Keys are those of `Scores.per_class` and `Scores.summary`.
    """
    blocks = np.array_split(weights, 20)  # as float64, all would take 800 MB for 100,000 images

    def drawn(pixels: np.ndarray) -> np.ndarray:
        values = pixels.astype(np.float64)  # exact, and multiplied by BLAS
        return np.concatenate([block.astype(np.float64) @ values for block in blocks])

    right, labelled, predicted = map(drawn, counts.class_counts())
    per_class, summary = class_scores(right, labelled, predicted)
    return per_class | summary


def interval(values: np.ndarray) -> np.ndarray:
    """Return the ends of the 95 % interval of drawn scores (DRAWS, ...), float64 (2, ...).

    They are NaN if no sample has the score, or if only one place was tested.
    """
    tail = (100 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        known = ~np.isnan(values).all(0)
        filled = np.where(known, values, 0)
        ends = np.nanpercentile(filled, [tail, 100 - tail], axis=0)
    return np.where(known, ends, np.nan)
