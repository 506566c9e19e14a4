"""Plots as PNG and SVG: tests, studies, and the curves of trainings."""

import json
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from mmseg.errors import UserError
from mmseg.files import whole_file

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
    """Write a figure as `stem`.png and `stem`.svg."""
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "svg")]
    for path in paths:
        with whole_file(path) as part:
            figure.savefig(part, dpi=150, bbox_inches="tight", metadata={"Date": None})
    return paths


@rc_context(STYLE)
def error_bars(
    stem: Path, x_label: str, places: Sequence, mious: Sequence[np.ndarray]
) -> list[Path]:
    """Plot the mean mIoU of the runs (R,) at each place, with bars of one standard deviation.

    One run has no bar. Places are names in their order, or numbers. Numbers that span more than a
    factor of 10 get a logarithmic axis.
    """
    named = isinstance(places[0], str)
    figure = Figure(figsize=(max(6, 1.2 * len(places)) if named else 6, 4))
    axes = figure.subplots()
    order = range(len(places)) if named else np.argsort(places)
    x = [places[i] for i in order]
    means = [np.mean(mious[i]) for i in order]
    bars = [np.std(mious[i], ddof=1) if len(mious[i]) > 1 else 0 for i in order]
    axes.errorbar(x, means, bars, marker="o", capsize=3, linestyle="none" if named else "-")
    if not named and 0 < 10 * x[0] < x[-1]:
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
    seeds = " or ".join(map(str, sorted({len(each) for each in mious})))
    title = f"mean and standard deviation, seeds: {seeds}"
    axes.set(xlabel=x_label, ylabel="mIoU (%)", title=title)
    return save(figure, stem)


@rc_context(STYLE | {"axes.grid": False, "font.size": 8})
def confusion(stem: Path, matrix: np.ndarray, names: Sequence[str]) -> list[Path]:
    """Draw a confusion matrix (K, K) of int64: colours are percent of the rows."""
    share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(4.0, 0.5 * len(names))
    figure = Figure(figsize=(side + 2, side))
    axes = figure.subplots()
    picture = axes.imshow(share, cmap="cividis", vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="prediction", ylabel="truth")
    short = EngFormatter(places=0, sep="")
    for row, column in np.argwhere(share >= 0.05):
        text = f"{share[row, column]:.1f}\n{short(matrix[row, column])}"
        colour = "white" if share[row, column] < 55 else "black"
        axes.text(column, row, text, ha="center", va="center", size=7, color=colour)
    figure.colorbar(picture, label="% of the truth", fraction=0.04)
    return save(figure, stem)


@rc_context(STYLE)
def reliability(stem: Path, bins: np.ndarray) -> list[Path]:
    """Draw the share of right pixels against the probability, from bins (15, 3) of pixels."""
    pixels, confidence, right = bins[bins[:, 0] > 0].T
    figure = Figure(figsize=(4.5, 5.5), layout="tight")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    top.plot(confidence / pixels, right / pixels, marker="o", label="model")
    top.set(ylabel="share of right pixels", ylim=(0, 1))
    top.legend()
    bottom.bar(confidence / pixels, 100 * pixels / pixels.sum(), width=0.05)
    bottom.set(xlabel="probability of the predicted class", ylabel="% of pixels", xlim=(0, 1))
    return save(figure, stem)


Curve = dict[int, float]  # a value by iteration


def read_curves(work_dir: Path) -> dict[str, Curve]:
    """Read the scalars of all sessions of a training, by name; a later session goes before."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not files:
        raise UserError(f"{work_dir}: no scalars.json in it; give the work directory of a training")
    curves: dict[str, Curve] = {}
    for line in (line for path in files for line in path.read_text().splitlines()):
        with suppress(ValueError):  # it is cut short if the training was killed
            values = json.loads(line)
            step = values.pop("step", None)
            for name, value in values.items():
                if step is not None and isinstance(value, int | float):
                    curves.setdefault(name, {})[step] = value
    return curves


@rc_context(STYLE)
def plot_curves(stem: Path, runs: dict[str, dict[str, Curve]], names: Sequence[str]) -> list[Path]:
    """Draw a panel for each scalar of `names`, with a line for each run, as PNG and SVG.

    A * in a name stands for anything. `UserError` if no run has a name.
    """
    known = dict.fromkeys(name for curves in runs.values() for name in curves)
    panels: list[str] = []
    for pattern in names:
        found = [name for name in known if fnmatchcase(name, pattern)]
        if not found:
            raise UserError(f"no run has {pattern}; there are {', '.join(known)}")
        panels += found
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.5 * columns, 3 * rows + 0.5), layout="tight")
    for place, name in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place, title=name, xlabel="iteration")
        for run, curves in runs.items():
            points = sorted(curves.get(name, {}).items())
            few = "." if len(points) < 30 else None
            axes.plot([x for x, _ in points], [y for _, y in points], marker=few, label=run)
    figure.axes[0].legend()
    return save(figure, stem)
