"""The model card of a published model: what it predicts, how well, and under which licences."""

import json
from collections.abc import Sequence

from mmseg.evaluation.bootstrap import drawn_scores, drawn_weights
from mmseg.results.report import SUMMARY, interval_text, per_class
from mmseg.results.runs import Run
from mmseg.results.tables import markdown

TEXT = """\
---
license: {license}
library_name: segnext
pipeline_tag: image-segmentation
tags: [semantic-segmentation, segnext]
---

# {repo}

A model of SegNeXt {version}. It gives each pixel of an image one of {count} classes.

```python
from mmseg.apis import inference_model, init_model
model = init_model("hf-hub:{repo}")
inference_model(model, "image.png").plot().save("overlay.png")
```

- Bands of an image: {bands} ({bits}).
- Ground sample distance (GSD) in metres: {gsd}.
- Window, height and width in pixels: {window}.
- Rank of the head's factorisation (NMF): {nmf_rank}.
- Licence of the weights: {licences[0]}.
- Licence of the training data: {licences[1]}.

{table}
{scores}
"""


def model_card(repo: str, told: dict, licences: Sequence[str], run: Run | None) -> str:
    """Return the README.md of a repository on the Hub.

    `told` are the facts that `mmseg.export.facts` collects. The two licences are those of the
    weights and of the training data. `run` is a test of the model.
    """
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in told["palette"]]
    classes = zip(told["classes"], range(len(colours)), colours, strict=True)
    told = {"nmf_rank": "none", **told, "bands": ", ".join(told["bands"])}
    return TEXT.format(
        **{key: "not known" if value is None else value for key, value in told.items()},
        license=json.dumps(licences[0]),  # a text of YAML too
        licences=licences,
        repo=repo,
        count=len(colours),
        table=markdown(["class", "id", "colour"], [*classes]),
        scores=_scores(run) if run else "No test was given.",
    )


def _scores(run: Run) -> str:
    drawn = drawn_scores(run.counts, drawn_weights(run.counts.groups))
    table = per_class(run, drawn)
    rows = [(name, f"{drawn[name][0]:.2f}", interval_text(drawn[name])) for name in SUMMARY]
    tables = markdown(["score", "value", "95 %"], rows), markdown(table["columns"], table["rows"])
    return "\n\n".join([*table["texts"], *tables])
