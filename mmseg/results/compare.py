"""Differences between runs, with intervals from a bootstrap that draws images for all of them."""

from collections.abc import Sequence

import numpy as np

from mmseg.evaluation.bootstrap import DRAWS, drawn_scores, drawn_weights, interval
from mmseg.evaluation.confusion import class_scores
from mmseg.results.runs import Run, check_comparable

MEANS = ("mIoU", "mAcc", "aAcc")


class Variant:
    """The runs of one config, which differ by their seeds; scores are in percent.

    `values` maps each class (its IoU) and each name of `MEANS` to the scores of the R runs, (R,).
    `drawn` maps them to the mean of the runs in each sample of images, (DRAWS,).
    """

    def __init__(self, name: str, runs: Sequence[Run], weights: np.ndarray) -> None:
        self.name = name
        of_runs, of_draws = [], []
        for run in runs:
            ones = np.ones((1, len(run.counts)), np.int64)
            per_class, summary = class_scores(*(ones @ each for each in run.counts.class_counts()))
            of_runs.append(_rows(run, per_class | summary))
            of_draws.append(_rows(run, drawn_scores(run.counts, weights)))
        self.values = {row: np.concatenate([each[row] for each in of_runs]) for row in of_runs[0]}
        self.drawn = {row: np.mean([each[row] for each in of_draws], 0) for row in of_draws[0]}


def _rows(run: Run, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    classes = {name: scores["IoU"][:, k] for k, name in enumerate(run.counts.classes.tolist())}
    return classes | {name: scores[name] for name in MEANS}


def variants_of(runs: Sequence[Run]) -> list[Variant]:
    """Group runs by their configs, in the order given; `UserError` if their images differ."""
    check_comparable(runs)
    weights = drawn_weights(runs[0].counts.groups)
    names = dict.fromkeys(run.config for run in runs)
    return [Variant(n, [run for run in runs if run.config == n], weights) for n in names]


def difference(one: Variant, other: Variant, row: str) -> tuple[float, float, float, float]:
    """Return `other` minus `one`, the ends of its 95 % interval, and its two-sided p-value.

    The p-value is twice the smaller share of the samples on one side of 0, at least 1 / DRAWS. The
    interval is that over images; the spread of the seeds is not in it.
    """
    drawn = other.drawn[row] - one.drawn[row]
    low, high = interval(drawn).tolist()
    p = 2 * min((drawn <= 0).mean(), (drawn >= 0).mean())
    value = other.values[row].mean() - one.values[row].mean()
    return value, low, high, float(np.clip(p, 1 / DRAWS, 1)) if value == value else float("nan")


def comparison(variants: Sequence[Variant]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of a table: each class and mean, and differences from the first."""
    columns = ["IoU / mean"]
    for variant in variants:
        columns.append(f"{variant.name} (n={len(next(iter(variant.values.values())))})")
        if variant is not variants[0]:
            columns += ["difference", "95 % interval", "p"]
    rows = []
    for row in variants[0].values:
        line = [row]
        for variant in variants:
            line.append(_mean(variant.values[row]))
            if variant is not variants[0]:
                value, low, high, p = difference(variants[0], variant, row)
                line += [f"{value:+.2f}", f"[{low:+.2f}, {high:+.2f}]", f"{p:.3f}"]
        rows.append(line)
    return columns, rows


def _mean(values: np.ndarray) -> str:
    spread = f" +- {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"
