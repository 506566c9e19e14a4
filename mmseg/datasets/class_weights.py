"""Class weights for the loss from the pixel counts of the training masks."""

from collections.abc import Sequence

import numpy as np

from mmseg.errors import UserError


def median_frequency(counts: np.ndarray) -> np.ndarray:
    """Weigh by median(f) / f (Eigen and Fergus, ICCV 2015).

    f is the share of a class among the pixels of all images that show it.
    """
    shown_in = (counts.sum(axis=1, keepdims=True) * (counts > 0)).sum(axis=0)
    frequency = counts.sum(axis=0) / shown_in
    return np.median(frequency) / frequency


def inverse_log(counts: np.ndarray) -> np.ndarray:
    """Weigh by 1 / ln(1.02 + p), where p is the share of a class among all pixels (ENet, 2016)."""
    return 1 / np.log(1.02 + counts.sum(axis=0) / counts.sum())


def effective_number(counts: np.ndarray) -> np.ndarray:
    """Weigh by (1 - beta) / (1 - beta^n), where a class has n pixels (Cui et al., CVPR 2019).

    beta = 1 - 1/N, and more than N samples of a class add nothing new. The paper counts images and
    uses N <= 10^4, but for 10^8 pixels that would make all weights equal. Here N is the mean of the
    class sizes, so the weights do not depend on the size of the data set.
    """
    sizes = counts.sum(axis=0)
    beta = 1 - 1 / sizes.mean()
    return (1 - beta) / (1 - beta**sizes)


METHODS = {method.__name__: method for method in (median_frequency, inverse_log, effective_number)}


def class_weights(pixel_counts: Sequence | np.ndarray, method: str) -> np.ndarray:
    """Return float64 (C,) weights by one of `METHODS`.

    `pixel_counts` holds the labelled pixels per class: (C,) in all, or (images, C) per image. The
    average labelled pixel weighs 1, so the loss keeps its size. A class without a pixel weighs 1.
    Raises `UserError` if no pixel is labelled.
    """
    counts = np.atleast_2d(np.asarray(pixel_counts, dtype=np.int64))
    totals = counts.sum(axis=0)
    present = totals > 0
    if not present.any():
        raise UserError("the masks hold no labelled pixel; check the classes and ignore_index")
    # With 0, a class that later data does show would never be learnt.
    weights = np.ones(len(totals))
    weights[present] = METHODS[method](counts[:, present])
    weights[present] *= totals.sum() / (totals * weights)[present].sum()
    return weights
