"""What tests have kept of runs: the scores, the counts of each image, and how they were made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg.errors import UserError
from mmseg.evaluation.per_image import ImageCounts


@dataclass(frozen=True)
class Run:
    """One tested checkpoint: `facts` is the JSON of the test, `counts` those of its images."""

    path: Path
    facts: dict[str, Any]
    counts: ImageCounts

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Load the JSON of a test, or the newest one in a work directory."""
        path = Path(path)
        if path.is_dir():
            found = sorted(path.rglob("eval_*.json"), key=lambda p: p.stat().st_mtime)
            if not found:
                raise UserError(f"{path}: no eval_*.json in it; run tools/test.py first")
            path = found[-1]
        try:
            facts = json.loads(path.read_text())
            facts["classes"], facts["summary"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not the JSON that tools/test.py writes") from error
        counts = ImageCounts.load(path.with_suffix(".images.npz"))
        if not len(counts):
            raise UserError(f"{path}: no image was tested")
        return cls(path, facts, counts)

    @property
    def config(self) -> str:
        """The name of the config, or of the folder if the test did not say it."""
        return Path(self.facts.get("run", {}).get("config", self.path.parent.name)).stem


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise `UserError` unless all runs were tested on the same labels of the same images."""
    first = runs[0]
    for run in runs[1:]:
        if run.counts.classes.tolist() != first.counts.classes.tolist():
            raise UserError(f"{run.path}: has other classes than {first.path}")
        names = [[Path(name).stem for name in each.counts.names] for each in (first, run)]
        if names[0] != names[1]:
            raise UserError(
                f"{run.path}: tested on {len(names[1])} other images than the {len(names[0])} of "
                f"{first.path}; test both on one data set"
            )
        labelled = [each.counts.class_counts()[1] for each in (first, run)]
        for image in run.counts.names[(labelled[0] != labelled[1]).any(1)]:
            raise UserError(f"{run.path}: the mask of {image} differs from that of {first.path}")
