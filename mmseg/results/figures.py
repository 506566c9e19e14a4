"""Plots as PNG and SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler

from mmseg.files import whole_file

matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
STYLE: dict[Any, Any] = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 10,
    "svg.hashsalt": "segnext",  # the same plot gives the same bytes
}


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as `stem`.png and `stem`.svg, and close it."""
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "svg")]
    for path in paths:
        with whole_file(path) as part:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(part, dpi=150, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
    return paths


def error_bars(
    stem: Path, x_label: str, y_label: str, places: Sequence[float], scores: Sequence[np.ndarray]
) -> list[Path]:
    """Plot the mean of the scores (R,) at each place, with bars of one standard deviation.

    A value of one run has no bar. Places that span more than a factor of 10 get a logarithmic axis.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6, 4))
        order = np.argsort(places)
        x = np.asarray(places, float)[order]
        means = np.array([np.mean(scores[i]) for i in order])
        bars = np.array([np.std(scores[i], ddof=1) if len(scores[i]) > 1 else 0 for i in order])
        axes.errorbar(x, means, bars, marker="o", capsize=3)
        if x[0] > 0 and x[-1] > 10 * x[0]:
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.minorticks_off()
        counts = {len(each) for each in scores}
        seeds = (
            f"{min(counts)} seeds" if len(counts) == 1 else f"{min(counts)} to {max(counts)} seeds"
        )
        axes.set(xlabel=x_label, ylabel=y_label, title=f"mean and standard deviation of {seeds}")
        return save(figure, stem)
