"""Intervals of scores, by resampling the images of a test (Efron and Tibshirani, 1993)."""

import numpy as np

from mmseg.evaluation.confusion import Scores, scores_of_pixels
from mmseg.evaluation.per_image import ImageCounts

DRAWS = 1000


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
