"""The model card of a published model: what it predicts, how well, and under which licences."""

import json
from collections.abc import Sequence
from pathlib import Path

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
    classes = zip(told["classes"], range(len(colours)), colours, strict=True)
    told = {"nmf_rank": "none", **told, "bands": ", ".join(told["bands"])}
    text = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
    return text.format(
        **{key: "not known" if value is None else value for key, value in told.items()},
        license=json.dumps(licences[0]),  # a text of YAML too
        licences=licences,
        repo=repo,
        count=len(colours),
        table=markdown(["class", "id", "colour"], [*classes]),
        scores=scores,
    )
