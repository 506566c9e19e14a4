"""The model card of a published model: what it predicts, how well, and under which licences."""

import json
from collections.abc import Sequence
from pathlib import Path

import jinja2

from mmseg.evaluation.per_image import drawn_scores, drawn_weights
from mmseg.results.report import SUMMARY, per_class, shown
from mmseg.results.runs import Run
from mmseg.results.tables import markdown


def model_card(repo: str, told: dict, licences: Sequence[str], run: Run | None) -> str:
    """Return the README.md of a repository on the Hub.

    `told` are the facts that `mmseg.export.facts` collects. The two licences are those of the
    weights and of the training data. `run` is a test of the model.
    """
    scores = "No test was given."
    if run:
        drawn = drawn_scores(run.counts, drawn_weights(run.counts.groups))
        table = per_class(run, drawn)
        means = markdown(["score", "value", "95 %"], [(n, *shown(drawn[n])) for n in SUMMARY])
        scores = "\n\n".join([*table["texts"], means, markdown(table["columns"], table["rows"])])
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in told["palette"]]
    rows = list(zip(told["classes"], range(len(colours)), colours, strict=True))
    made = {"table": markdown(["class", "id", "colour"], rows), "scores": scores}
    text = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    template = jinja2.Template(text, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    made["license"] = json.dumps(licences[0])  # a text of YAML too
    return template.render({"nmf_rank": None, **told}, **made, repo=repo, licences=licences)
