"""Curves of the scalars that trainings have written."""

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from mmseg.errors import UserError
from mmseg.results.figures import STYLE, save

Curve = dict[int, float]  # a value by iteration


def read_curves(work_dir: Path) -> dict[str, Curve]:
    """Read the scalars of all sessions of a training, by name; a later session goes before."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not files:
        raise UserError(f"{work_dir}: no scalars.json in it; give the work directory of a training")
    curves: dict[str, Curve] = {}
    for line in (line for path in files for line in path.read_text().splitlines()):
        try:
            values = json.loads(line)
        except ValueError:  # cut short when the training was killed
            continue
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
