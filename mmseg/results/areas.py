"""Area and accuracy of the classes of a map, estimated from a stratified random sample.

Sources: Olofsson et al. 2014, Remote Sensing of Environment 148, 42-57; Stehman 2014, International
Journal of Remote Sensing 35, 4923-4939, whose indicators give the numbers of the first paper when
the strata are the classes of the map, and hold for other strata too.
"""

from collections.abc import Sequence

import numpy as np

from mmseg.errors import UserError
from mmseg.results.class_map import ClassMap

Z = 1.96  # standard errors in half of a 95 % interval
COLUMNS = ["class_id", "class_name", "mapped_ha", "area_ha", "standard_error_ha"]
COLUMNS += ["low_ha", "high_ha", "user's_accuracy", "user's_accuracy_standard_error"]
COLUMNS += ["producer's_accuracy", "producer's_accuracy_standard_error"]
# Estimated shares and their standard errors, float64, of each class (K,) or of all (1,).
Estimate = dict[str, tuple[np.ndarray, np.ndarray]]


def estimate(
    strata: np.ndarray, mapped: np.ndarray, reference: np.ndarray, shares: np.ndarray, classes: int
) -> Estimate:
    """Estimate `area` (as share of all), `users`, `producers` and `overall` accuracy.

    strata, mapped, reference: int64 (N,), the stratum of each point of the sample, its class in the
    map and its true class. shares: float64 (H,), the share of each stratum in the area; they sum to
    1. A value is NaN if no point tells it. Raises `UserError` if a stratum has fewer than two
    points, which give no standard error.
    """
    counts = np.bincount(strata, minlength=len(shares))
    for few in np.flatnonzero((counts < 2) & (shares > 0)):
        raise UserError(
            f"stratum {few} has {counts[few]} interpreted points and {shares[few]:.2%} of the "
            "area: interpret at least 2 points of each stratum, better 50"
        )
    weights = (shares / np.maximum(counts, 1))[strata]

    def ratio(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the area of the indicators y (N, K) as share of that of x, and its error."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = weights @ y / (weights @ x)
            rest = np.nan_to_num(y - value * x)
            variances = [
                shares[h] ** 2 * rest[strata == h].var(0, ddof=1) / counts[h]
                for h in np.flatnonzero(counts)
            ]
            return value, np.sqrt(np.sum(variances, 0)) / (weights @ x)

    everywhere = np.ones((len(strata), 1))
    is_mapped, is_true = np.eye(classes)[mapped], np.eye(classes)[reference]
    right = is_mapped * is_true
    return {
        "area": ratio(is_true, everywhere),
        "users": ratio(right, is_mapped),
        "producers": ratio(right, is_true),
        "overall": ratio(right.sum(1, keepdims=True), everywhere),
    }


def sample_sizes(
    shares: np.ndarray, accuracy: float, standard_error: float, least: int, total: int = 0
) -> np.ndarray:
    """Return how many points to draw in each stratum, int64 (H,) (Olofsson et al., equation 13).

    `accuracy` is the user's accuracy that is expected, and `standard_error` the error wanted of the
    overall accuracy. `total` replaces the sum that follows from them. Each stratum gets `least`
    points, if the total allows; the rest is shared out by area.
    """
    present = shares > 0
    total = total or int(np.ceil(accuracy * (1 - accuracy) / standard_error**2))
    least = min(least, total // present.sum())
    rest = max(total - least * present.sum(), 0)
    return np.where(present, least + np.round(rest * shares), 0).astype(np.int64)


def draw_points(strata: ClassMap, sizes: np.ndarray, seed: int) -> np.ndarray:
    """Draw `sizes` (K,) pixels of each class, with equal chances per area; float64 (2, N).

    The result is the middles of the pixels in the CRS of the map. No pixel is drawn twice. The
    order is random, so that it does not tell the class.
    """
    rng = np.random.default_rng(seed)
    drawn = [np.zeros((3, 0)) for _ in sizes]
    for top, ids in strata.blocks():
        # The smallest of these keys are a sample by area (Efraimidis and Spirakis, 2006).
        areas = strata.row_hectares[top : top + len(ids), None]
        keys = rng.exponential(size=ids.shape) / areas
        for k, size in enumerate(sizes):
            rows, columns = np.nonzero(ids == k)
            found = np.stack([keys[rows, columns], columns, rows + top])
            both = np.hstack([drawn[k], found])
            drawn[k] = both[:, np.argsort(both[0])[:size]]
    points = rng.permutation(np.hstack(drawn)[1:] + 0.5, axis=1)
    return np.array(strata.transform * points)


def class_ids(texts: Sequence[object], classes: Sequence[str], path: str) -> np.ndarray:
    """Return the ids (N,) of classes that points of a file give by their names or ids."""
    known = {str(k): k for k in range(len(classes))}
    known |= {name.strip().lower(): k for k, name in enumerate(classes)}
    words = [str(text).strip().lower().removesuffix(".0") for text in texts]
    for word in words:
        if word not in known:
            raise UserError(f"{path}: {word!r} is no class: give one of {', '.join(classes)}")
    return np.array([known[word] for word in words], np.int64)


def area_rows(classes: Sequence[str], mapped: np.ndarray, whole: float, found: Estimate) -> list:
    """Return the cells of `COLUMNS` for each class; `mapped` (K,) and `whole` are hectares."""
    area, error = (whole * each for each in found["area"])
    hectares = (mapped, area, error, area - Z * error, area + Z * error)
    columns = (*hectares, *found["users"], *found["producers"])
    texts = [[f"{value:.4f}" for value in column] for column in columns]
    return list(zip(range(len(classes)), classes, *texts, strict=True))
