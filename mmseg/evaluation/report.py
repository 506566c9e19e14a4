"""Tables in plain text, for logs and terminals."""

import io
from collections.abc import Iterable, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mmseg.evaluation.confusion import METRIC_SCORES, Scores

# rich cuts a table at the width of its console. A log has no width: this is wider than any table.
WIDTH = 100_000


def render_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> str:
    """Draw a table in ASCII lines as wide as its content. All columns but the first align right."""
    table = Table(box=box.ASCII)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None, markup=False, emoji=False).print(table)
    return f"{title}\n{text.getvalue()}".strip()


def score_table(scores: Scores, classes: Sequence[str], metrics: Sequence[str]) -> str:
    """Draw the scores of every class and the summary of `metrics`, in percent to two decimals."""
    names = score_names(metrics)
    means = ["aAcc", *(f"m{name}" for name in names)]
    columns = [map(_shown, scores[name]) for name in names]
    rows = zip(classes, *columns, strict=True)
    summary = render_table(means, [[_shown(scores[name]) for name in means]])
    return render_table(["class", *names], rows) + "\n" + summary


def score_names(metrics: Sequence[str]) -> list[str]:
    """List the per-class scores of `metrics`, each once."""
    return list(dict.fromkeys(name for metric in metrics for name in METRIC_SCORES[metric]))


def _shown(score: np.ndarray) -> str:
    return "n/a" if np.isnan(score) else f"{score:.2f}"
