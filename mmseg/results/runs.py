"""What tests have kept of runs, and the differences between runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseg.errors import UserError
from mmseg.evaluation.per_image import DRAWS, ImageCounts, drawn_scores, drawn_weights, interval


@dataclass(frozen=True)
class Run:
    """One tested checkpoint: `facts` is the JSON of the test, `counts` those of its images."""

    path: Path
    facts: dict[str, Any]
    counts: ImageCounts

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Load the JSON of a test, or the newest one in a work directory."""
        path = Path(path)
        if path.is_dir():
            found = sorted(path.rglob("eval_*.json"), key=lambda p: p.stat().st_mtime)
            if not found:
                raise UserError(f"{path}: no eval_*.json in it; run tools/test.py first")
            path = found[-1]
        try:
            facts = json.loads(path.read_text())
            facts["classes"], facts["summary"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not the JSON that tools/test.py writes") from error
        counts = ImageCounts.load(path.with_suffix(".images.npz"))
        if not len(counts):
            raise UserError(f"{path}: no image was tested")
        return cls(path, facts, counts)

    @property
    def config(self) -> str:
        """The name of the config, or of the folder if the test did not say it."""
        return Path(self.facts.get("run", {}).get("config", self.path.parent.name)).stem


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise `UserError` unless all runs were tested on the same labels of the same images."""
    first = runs[0]
    for run in runs[1:]:
        if run.counts.classes.tolist() != first.counts.classes.tolist():
            raise UserError(f"{run.path}: has other classes than {first.path}")
        names = [[Path(name).stem for name in each.counts.names] for each in (first, run)]
        if names[0] != names[1]:
            raise UserError(
                f"{run.path}: tested on {len(names[1])} other images than the {len(names[0])} of "
                f"{first.path}; test both on one data set"
            )
        labelled = [each.counts.class_counts()[1] for each in (first, run)]
        for image in run.counts.names[(labelled[0] != labelled[1]).any(1)]:
            raise UserError(f"{run.path}: the mask of {image} differs from that of {first.path}")


MEANS = ("mIoU", "mAcc", "aAcc")
# The scores in percent of R runs of one config, which differ by their seeds: each class (its IoU)
# and each of `MEANS` as float64 (R, 1 + DRAWS), for the test itself and for drawn images.
Variant = dict[str, np.ndarray]


def variants_of(runs: Sequence[Run]) -> dict[str, Variant]:
    """Group runs by their configs, in the order given; `UserError` if their images differ."""
    check_comparable(runs)
    weights = drawn_weights(runs[0].counts.groups)
    rows = [*runs[0].counts.classes.tolist(), *MEANS]
    grouped: dict[str, list] = {}
    for run in runs:
        scores = drawn_scores(run.counts, weights)
        values = [*scores["IoU"].T, *(scores[name] for name in MEANS)]
        grouped.setdefault(run.config, []).append(values)
    return {k: dict(zip(rows, np.stack(v, axis=1), strict=True)) for k, v in grouped.items()}


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float, float]:
    """Return the mean of `other` minus that of `one`, its 95 % interval and two-sided p-value.

    Both are scores (R, 1 + DRAWS). The p-value is twice the smaller share of the samples on one
    side of 0, at least 1 / DRAWS. The interval is that over images; the spread of the seeds is not
    in it. What is not defined is NaN.
    """
    drawn = other.mean(0) - one.mean(0)
    low, high = interval(drawn).tolist()
    p = np.clip(2 * min((drawn[1:] <= 0).mean(), (drawn[1:] >= 0).mean()), 1 / DRAWS, 1)
    return float(drawn[0]), low, high, float(p) if low == low else low


def comparison(variants: dict[str, Variant]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of a table: each class and mean, and differences from the first."""
    first, *others = variants.values()
    columns = ["IoU / mean"]
    for name, variant in variants.items():
        columns.append(f"{name} (n={len(variant[MEANS[0]])})")
        if variant is not first:
            columns += ["difference", "95 % interval", "p"]
    rows = []
    for row in first:
        line = [row, _mean(first[row][:, 0])]
        for variant in others:
            value, low, high, p = difference(first[row], variant[row])
            line += [_mean(variant[row][:, 0]), f"{value:+.2f}"]
            line += [f"[{low:+.2f}, {high:+.2f}]", f"{p:.3f}"]
        rows.append(line)
    return columns, rows


def _mean(values: np.ndarray) -> str:
    spread = f" +- {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"
