"""Intervals of scores, by resampling the images of a test (Efron and Tibshirani, 1993)."""

import numpy as np

from mmseg.evaluation.confusion import class_scores
from mmseg.evaluation.per_image import ImageCounts

DRAWS = 1000
LEVEL = 95  # percent


def drawn_weights(groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw how often each image counts in each of `DRAWS` samples, int64 (DRAWS, N).

    `groups` (N,) names the place of each image. Whole places are drawn, with replacement.
    """
    names, member = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / max(len(names), 1)), DRAWS)
    return times[:, member]


def drawn_scores(counts: ImageCounts, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores in percent of each sample: per class (DRAWS, K), of all (DRAWS,).

    Keys are those of `Scores.per_class` and `Scores.summary`.
    """
    per_class, summary = class_scores(*(weights @ each for each in counts.class_counts()))
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
