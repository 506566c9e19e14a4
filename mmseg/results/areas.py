"""Area and accuracy of the classes of a map, estimated from a stratified random sample.

Sources: Olofsson et al. 2014, Remote Sensing of Environment 148, 42-57; Stehman 2014, International
Journal of Remote Sensing 35, 4923-4939, whose indicators give the numbers of the first paper when
the strata are the classes of the map, and hold for other strata too.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg.errors import UserError

Z = 1.96  # standard errors in half of a 95 % interval
COLUMNS = ("mapped_ha", "area_ha", "standard_error_ha", "low_ha", "high_ha")
ACCURACIES = ("user's", "producer's")


@dataclass(frozen=True)
class Estimate:
    """Estimated shares, with standard errors. K is the number of classes.

    `area` (K,) is the share of the whole area, `users` and `producers` (K,) are accuracies, and
    `overall` (1,) is the overall accuracy, each as (values, standard errors) of float64. A value is
    NaN if no point of the sample tells it.
    """

    area: tuple[np.ndarray, np.ndarray]
    users: tuple[np.ndarray, np.ndarray]
    producers: tuple[np.ndarray, np.ndarray]
    overall: tuple[np.ndarray, np.ndarray]


def estimate(
    strata: np.ndarray, mapped: np.ndarray, reference: np.ndarray, shares: np.ndarray, classes: int
) -> Estimate:
    """Estimate areas and accuracies from the points of a sample.

    strata, mapped, reference: int64 (N,), the stratum of each point, its class in the map and its
    true class. shares: float64 (H,), the share of each stratum in the area; they sum to 1. Raises
    `UserError` if a stratum has fewer than two points, which give no standard error.
    """
    counts = np.bincount(strata, minlength=len(shares))
    few = np.flatnonzero((counts < 2) & (shares > 0))
    if len(few):
        raise UserError(
            f"stratum {few[0]} has {counts[few[0]]} interpreted points and {shares[few[0]]:.2%} of "
            "the area: interpret at least 2 points of each stratum, better 50"
        )
    weights = shares / np.maximum(counts, 1)

    def total(y: np.ndarray) -> np.ndarray:
        """Return the share of the area where the indicators y (N, K) are 1."""
        return weights[strata] @ y

    def error(residual: np.ndarray) -> np.ndarray:
        """Return the standard error of the total of residuals (N, K)."""
        variance = np.zeros(residual.shape[1])
        for stratum in np.flatnonzero(counts > 1):
            spread = residual[strata == stratum].var(0, ddof=1)
            variance += shares[stratum] ** 2 * spread / counts[stratum]
        return np.sqrt(variance)

    def ratio(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = total(y) / total(x)
            return value, error(np.nan_to_num(y - value * x)) / total(x)

    is_mapped = np.eye(classes)[mapped]
    is_true = np.eye(classes)[reference]
    both = is_mapped * is_true
    right = both.sum(1, keepdims=True)
    return Estimate(
        area=(total(is_true), error(is_true)),
        users=ratio(both, is_mapped),
        producers=ratio(both, is_true),
        overall=(total(right), error(right)),
    )


def sample_sizes(
    shares: np.ndarray, accuracy: float, standard_error: float, least: int, total: int | None = None
) -> np.ndarray:
    """Return how many points to draw in each stratum, int64 (H,) (Olofsson et al., equation 13).

    `accuracy` is the user's accuracy that is expected, and `standard_error` the error wanted of the
    overall accuracy. `total` replaces the sum that follows from them. Each stratum gets `least`
    points, if the total allows; the rest is shared out by area.
    """
    present = shares > 0
    if total is None:
        total = int(np.ceil(accuracy * (1 - accuracy) / standard_error**2))
    least = min(least, total // present.sum())
    rest = max(total - least * present.sum(), 0)
    return np.where(present, least + np.round(rest * shares), 0).astype(np.int64)


def area_csv(classes: Sequence[str], hectares: float, mapped: np.ndarray, result: Estimate) -> str:
    """Return the estimates as a table, one line per class.

    `hectares` is the whole area, `mapped` (K,) the hectares of each class in the map.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["class_id", "class_name", *COLUMNS, *_with_errors(ACCURACIES)])
    for k, name in enumerate(classes):
        area, error = hectares * result.area[0][k], hectares * result.area[1][k]
        values = [mapped[k], area, error, area - Z * error, area + Z * error]
        accuracies = [each[k] for pair in (result.users, result.producers) for each in pair]
        row = [f"{v:.4f}" for v in values] + [f"{v:.4f}" for v in accuracies]
        table.writerow([k, name, *row])
    return text.getvalue()


def _with_errors(names: Sequence[str]) -> list[str]:
    return [column for n in names for column in (f"{n}_accuracy", f"{n}_accuracy_standard_error")]
