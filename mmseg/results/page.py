"""Pages that need no network, in light and dark colours, made of sections."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from mmseg.files import write_whole
from mmseg.results.tables import write_csv

# `title`, and what there is of: `texts`, `plot` (the path of an SVG file), `columns` and `rows` of
# a table, the `file` of the table beside the page, `images` (`source` and `caption`).
Section = dict[str, Any]
SHOWN_ROWS = 2_000  # of a table on a page; its file has all


def write_page(
    path: Path, title: str, cards: Sequence[Mapping], sections: Sequence[Section]
) -> Path:
    """Write a page of sections, and the table of each section that names a `file` beside it."""
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
