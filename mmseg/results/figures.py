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


def svg(path: Path) -> str:
    """Return the element of an SVG file, for a page."""
    text = path.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def error_bars(
    stem: Path,
    x_label: str,
    y_label: str,
    places: Sequence[float] | Sequence[str],
    scores: Sequence[np.ndarray],
) -> list[Path]:
    """Plot the mean of the scores (R,) at each place, with bars of one standard deviation.

    A value of one run has no bar. Places are names in their order, or numbers. Numbers that span
    more than a factor of 10 get a logarithmic axis.
    """
    names = isinstance(places[0], str)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(max(6, 1.2 * len(places)) if names else 6, 4))
        order = range(len(places)) if names else np.argsort(places)
        x: Any = [places[i] for i in order]
        means = np.array([np.mean(scores[i]) for i in order])
        bars = np.array([np.std(scores[i], ddof=1) if len(scores[i]) > 1 else 0 for i in order])
        axes.errorbar(x, means, bars, marker="o", capsize=3, linestyle="none" if names else "-")
        if not names and 0 < 10 * x[0] < x[-1]:
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.minorticks_off()
        counts = sorted({len(each) for each in scores})
        seeds = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
        title = f"mean and standard deviation, seeds: {seeds}"
        axes.set(xlabel=x_label, ylabel=y_label, title=title)
        return save(figure, stem)


def confusion(stem: Path, matrix: np.ndarray, names: Sequence[str]) -> list[Path]:
    """Draw a confusion matrix (K, K) of int64: colours are percent of the rows."""
    share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(4.0, 0.7 * len(names))
    with plt.rc_context(STYLE | {"axes.grid": False, "font.size": 8}):
        figure, axes = plt.subplots(figsize=(side + 2, side))
        picture = axes.imshow(share, cmap="cividis", vmin=0, vmax=100)
        places = range(len(names))
        axes.set_xticks(places, names, rotation=45, ha="right")
        axes.set_yticks(places, names)
        axes.set(xlabel="prediction", ylabel="truth")
        for row, column in np.ndindex(share.shape):
            if share[row, column] >= 0.05:
                text = f"{share[row, column]:.1f}\n{_short(matrix[row, column])}"
                colour = "white" if share[row, column] < 55 else "black"
                axes.text(column, row, text, ha="center", va="center", size=7, color=colour)
        figure.colorbar(picture, label="% of the truth", fraction=0.04)
        return save(figure, stem)


def _short(count: int) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def reliability(stem: Path, bins: np.ndarray) -> list[Path]:
    """Draw the share of right pixels against the probability, from bins (15, 3) of pixels."""
    pixels, confidence, right = (bins[bins[:, 0] > 0]).T
    with plt.rc_context(STYLE):
        figure, (top, bottom) = plt.subplots(
            2, 1, figsize=(4.5, 5.5), sharex=True, height_ratios=[3, 1], layout="tight"
        )
        top.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
        top.plot(confidence / pixels, right / pixels, marker="o", label="model")
        top.set(ylabel="share of right pixels", ylim=(0, 1))
        top.legend()
        bottom.bar(confidence / pixels, 100 * pixels / pixels.sum(), width=0.05)
        bottom.set(xlabel="probability of the predicted class", ylabel="% of pixels", xlim=(0, 1))
        return save(figure, stem)
