"""Tables as CSV, Markdown and LaTeX, and pages of them that need no network."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from mmseg.files import write_whole

Row = Sequence[object]
LATEX = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}"})


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table as comma-separated UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_whole(path, text.getvalue().encode())


def write_tables(stem: Path, columns: Sequence[str], rows: Sequence[Row]) -> list[Path]:
    """Write `stem`.csv, .md and .tex (for the package booktabs); return their paths."""
    paths = [stem.with_name(stem.name + suffix) for suffix in (".csv", ".md", ".tex")]
    write_csv(paths[0], columns, rows)
    write_whole(paths[1], markdown(columns, rows).encode())
    write_whole(paths[2], latex(columns, rows).encode())
    return paths


def markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    rule = ["---", *["---:"] * (len(columns) - 1)]
    lines = [[str(cell).replace("|", r"\|") for cell in row] for row in (columns, rule, *rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(columns: Sequence[str], rows: Sequence[Row]) -> str:
    lines = [" & ".join(str(cell).translate(LATEX) for cell in row) for row in (columns, *rows)]
    head, *body = (rf"{line} \\" for line in lines)
    begin = rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}"
    parts = [begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(parts) + "\n"


# `title`, and what there is of: `texts`, `plot` (the path of an SVG file), `columns` and `rows` of
# a table, the `file` of the table beside the page, `images` (address and caption).
Section = dict[str, Any]
SHOWN_ROWS = 2_000  # of a table on a page; its file has all


def write_page(path: Path, title: str, cards: Sequence[Row], sections: Sequence[Section]) -> Path:
    """Write a page of sections, and the table of each section that names a `file` beside it.

    Cards (name, value, note) stand at its top.
    """
    for section in sections:
        if section.get("rows") and "file" in section:
            write_csv(path.with_name(section["file"]), section["columns"], section["rows"])
        section["rows"] = section.get("rows", [])[:SHOWN_ROWS]
        if "plot" in section:
            svg = section["plot"].read_text(encoding="utf-8")
            section["svg"] = svg[svg.index("<svg") :]
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True).from_string(source)
    write_whole(path, template.render(title=title, cards=cards, sections=sections).encode())
    return path
