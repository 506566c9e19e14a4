"""Curves of the scalars that trainings have written."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt

from mmseg.errors import UserError
from mmseg.results.figures import STYLE, save

Curve = dict[int, float]  # a value by iteration


def read_curves(work_dir: Path) -> dict[str, Curve]:
    """Read the scalars of all sessions of a training, by name; a later session goes before."""
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not files:
        raise UserError(f"{work_dir}: no scalars.json in it; give the work directory of a training")
    curves: dict[str, Curve] = {}
    for path in files:
        for line in path.read_text().splitlines():
            try:
                values = json.loads(line)
            except ValueError:  # cut short when the training was killed
                continue
            step = values.pop("step", None)
            for name, value in values.items():
                if step is not None and isinstance(value, int | float):
                    curves.setdefault(name, {})[step] = value
    return curves


def plot_curves(stem: Path, runs: dict[str, dict[str, Curve]], names: Sequence[str]) -> list[Path]:
    """Draw a panel for each scalar of `names`, with a line for each run, as PNG and SVG.

    `names` may end in *, which stands for any ending. `UserError` if no run has a name.
    """
    known = dict.fromkeys(name for curves in runs.values() for name in curves)
    panels = [each for name in names for each in known if _fits(each, name)]
    if missing := [name for name in names if not any(_fits(each, name) for each in known)]:
        raise UserError(f"no run has {', '.join(missing)}; there are {', '.join(known)}")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with plt.rc_context(STYLE):
        size = (4.5 * columns, 3 * rows + 0.5)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="tight")
        for axis, name in zip(axes.flat, panels, strict=False):
            for run, curves in runs.items():
                points = sorted(curves.get(name, {}).items())
                few = "." if len(points) < 30 else None
                axis.plot(*zip(*points, strict=True) if points else ([], []), marker=few, label=run)
            axis.set(title=name, xlabel="iteration")
        for axis in axes.flat[len(panels) :]:
            axis.remove()
        axes.flat[0].legend()
        return save(figure, stem)


def _fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
