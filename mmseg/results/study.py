"""A study: variants of configs, trained and tested with several seeds."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg.config.loading import read_file
from mmseg.errors import UserError
from mmseg.files import write_whole
from mmseg.results.figures import error_bars
from mmseg.results.runs import Run, comparison, variants_of
from mmseg.results.tables import Section, write_page, write_tables

INTERRUPTED = 75  # the exit code of a training that saved and left
KEYS = {"config", "options", "x"}
RUNS = ("variant", "seed", "mIoU", "file")
SLURM = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append
#SBATCH --output={out}/slurm-%a.log
# Add what your cluster asks for: --partition, --gres=gpu:1, --time, --account.
run=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {out}/runs.txt)
srun {tools}/train.py "$run"/*.py --work-dir "$run" --resume
code=$?
if [ $code -eq 0 ]; then
    srun {tools}/test.py "$run"/*.py "$run/latest.pth" --work-dir "$run"
    code=$?
elif [ $code -eq {interrupted} ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit $code
"""
ABOUT = """In percent; mean +- standard deviation over the seeds. Differences are from the first
variant, with 95 % intervals and p-values from a paired bootstrap over the images. They do not
contain the spread of the seeds."""


@dataclass(frozen=True)
class Task:
    """One training and its test, in the folder `folder`, which holds the config."""

    variant: str
    seed: int
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / f"{self.variant}.py"

    @property
    def is_done(self) -> bool:
        return any(self.folder.glob("eval_*.json"))

    def run(self, tools: Path, variables: Mapping[str, str] | None = None) -> None:
        """Train and test, with the output in log.txt; `UserError` if one of them fails.

        A training goes on from its newest checkpoint. `variables` are added to the environment.
        """
        log = self.folder / "log.txt"
        environment = {**os.environ, **(variables or {})}
        for tool, argument in (("train.py", "--resume"), ("test.py", self.folder / "latest.pth")):
            words = (sys.executable, tools / tool, self.config, argument, "--work-dir", self.folder)
            with open(log, "ab") as file:
                done = subprocess.run(words, stdout=file, stderr=file, env=environment)
            if done.returncode == INTERRUPTED:
                raise KeyboardInterrupt
            if done.returncode:
                raise UserError(f"{self.folder}: {tool} failed; see {log}")


class Study:
    """A study file: Python with `variants` and, if not given elsewhere, `seeds`.

    `variants` maps a name to dict(config=..., options=..., x=...): a config file, the keys that
    change in it, and the place on the horizontal axis of the plot, whose title is `x_label`. The
    path of the config is relative to the study file.
    """

    def __init__(self, path: str, out: Path, seeds: Sequence[int] | None = None) -> None:
        content = read_file(path)
        self.name, self.out = Path(path).stem, out
        self.variants: dict[str, dict] = content.get("variants") or {}
        self.x_label: str = content.get("x_label", "")
        if not self.variants:
            raise UserError(f"{path}: has no variants=dict(name=dict(config=...), ...)")
        for name, variant in self.variants.items():
            if unknown := ", ".join(sorted(set(variant) - KEYS)):
                known = ", ".join(sorted(KEYS))
                raise UserError(f"{path}: variants.{name} has {unknown}; it may have {known}")
            variant["config"] = str(Path(path).parent / variant.get("config", ""))
            if not Path(variant["config"]).is_file():
                raise UserError(f"{path}: variants.{name}.config: there is no {variant['config']}")
        self.tasks = [
            Task(name, seed, out / name / f"seed_{seed}")
            for name in self.variants
            for seed in seeds or content.get("seeds", [0])
        ]

    def prepare(self) -> None:
        """Write the config of each task into its folder, if it is not there."""
        for task in self.tasks:
            variant = self.variants[task.variant]
            config = read_file(variant["config"])
            options = variant.get("options") or {}
            config.merge_from_dict({**options, "randomness.seed": task.seed})
            text = config.pretty_text
            if task.config.is_file() and task.config.read_text() != text:
                raise UserError(
                    f"{task.config}: the study has changed since; name another --out, or remove it"
                )
            write_whole(task.config, text.encode())

    def write_slurm(self, tools: Path) -> Path:
        """Write an array job with a line per task that is left, and return its path."""
        left = [task.folder.resolve() for task in self.tasks if not task.is_done]
        if not left:
            raise UserError(f"{self.out}: every run is done; leave --slurm out to see the results")
        write_whole(self.out / "runs.txt", "".join(f"{line}\n" for line in left).encode())
        text = SLURM.format(
            name=self.name,
            last=len(left) - 1,
            out=self.out.resolve(),
            tools=f"{sys.executable} {tools}",
            interrupted=INTERRUPTED,
        )
        write_whole(self.out / "array.sbatch", text.encode())
        return self.out / "array.sbatch"

    def report(self) -> tuple[list[str], list[list[str]], list[Path]]:
        """Compare the runs; return columns, rows, and the tables, plots and page that it writes."""
        runs = [Run.load(task.folder) for task in self.tasks]
        variants = variants_of(runs)
        columns, rows = comparison(variants)
        stem = self.out / self.name
        places = [variant.get("x") for variant in self.variants.values()]
        along = list(variants) if None in places else places
        mious = [variant["mIoU"][:, 0] for variant in variants.values()]
        plots = error_bars(stem, self.x_label, along, mious)
        tasks = [
            [task.variant, task.seed, f"{miou:.2f}", run.path]
            for task, run, miou in zip(self.tasks, runs, np.concatenate(mious), strict=True)
        ]
        sections: list[Section] = [
            {"title": "Variants", "plot": plots[1]},
            {"title": "Classes and means", "texts": [ABOUT], "columns": columns, "rows": rows},
            {"title": "Runs", "columns": RUNS, "rows": tasks, "file": "runs.csv"},
        ]
        means = dict(zip(columns, next(row for row in rows if row[0] == "mIoU"), strict=True))
        cards = [(f"mIoU, {k}", v, "") for k, v in means.items() if "(n=" in k]
        page = write_page(self.out / "index.html", f"{self.name}: study", cards, sections)
        return columns, rows, [*write_tables(stem, columns, rows), *plots, page]
