"""A study: variants of configs, trained and tested with several seeds."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.errors import UserError
from mmseg.evaluation.confusion import scores
from mmseg.files import write_whole
from mmseg.results import figures
from mmseg.results.page import write_page
from mmseg.results.runs import Run
from mmseg.results.tables import Row

INTERRUPTED = 75  # the exit code of a training that saved and left
KEYS = {"config", "options", "x"}
RUN_COLUMNS = ("variant", "seed", "mIoU", "file")
SLURM = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append
#SBATCH --output={out}/slurm-%a.log
# Add what your cluster asks for: --partition, --gres=gpu:1, --time, --account.
run=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {out}/runs.txt)
srun {train} "$run"/*.py --work-dir "$run" --resume
code=$?
if [ $code -eq 0 ]; then
    srun {test} "$run"/*.py "$run/latest.pth" --work-dir "$run"
    code=$?
elif [ $code -eq {interrupted} ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit $code
"""


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

    def commands(self, tools: Path) -> list[list[str]]:
        """Return the command lines; a training goes on from its newest checkpoint."""
        work_dir = ["--work-dir", str(self.folder)]
        train = [str(tools / "train.py"), str(self.config), *work_dir, "--resume"]
        test = [str(tools / "test.py"), str(self.config), str(self.folder / "latest.pth")]
        return [[sys.executable, *train], [sys.executable, *test, *work_dir]]

    def run(self, tools: Path, gpu: int | None = None) -> None:
        """Train and test, with the output in log.txt; `UserError` if one of them fails."""
        log = self.folder / "log.txt"
        device = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": str(gpu)}
        for command in self.commands(tools):
            with open(log, "ab") as file:
                done = subprocess.run(
                    command, stdout=file, stderr=file, env=os.environ | device, check=False
                )
            code = done.returncode
            if code == INTERRUPTED:
                raise KeyboardInterrupt
            if code:
                raise UserError(f"{self.folder}: {Path(command[1]).name} failed; see {log}")


class Study:
    """A study file: Python with `variants` and, if not given elsewhere, `seeds`.

    `variants` maps a name to dict(config=..., options=..., x=...): a config file, the keys that
    change in it, and the place on the horizontal axis of the plot, whose title is `x_label`. The
    path of the config is relative to the study file.
    """

    def __init__(self, path: str, out: Path, seeds: Sequence[int] | None = None) -> None:
        content = Config.fromfile(path)
        self.name, self.out = Path(path).stem, out
        self.variants: dict[str, dict] = content.get("variants") or {}
        self.x_label: str = content.get("x_label", "")
        if not self.variants:
            raise UserError(f"{path}: has no variants=dict(name=dict(config=...), ...)")
        for name, variant in self.variants.items():
            if unknown := set(variant) - KEYS:
                raise UserError(f"{path}: variants.{name} has {unknown}; it may have {KEYS}")
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
            config = Config.fromfile(variant["config"])
            config.merge_from_dict(dict(variant.get("options") or {}))
            config.merge_from_dict({"randomness": {"seed": task.seed}})
            text = config.pretty_text
            if task.config.is_file() and task.config.read_text() != text:
                raise UserError(
                    f"{task.config}: the study has changed since; name another --out, or remove it"
                )
            write_whole(task.config, text.encode())

    def write_slurm(self, tools: Path) -> Path:
        """Write an array job with a line per task that is left, and return its path."""
        left = [str(task.folder.resolve()) for task in self.tasks if not task.is_done]
        if not left:
            raise UserError(f"{self.out}: every run is done; leave --slurm out to see the results")
        write_whole(self.out / "runs.txt", "".join(f"{line}\n" for line in left).encode())
        python = f"{sys.executable} {tools}"
        text = SLURM.format(
            name=self.name,
            last=len(left) - 1,
            out=self.out.resolve(),
            train=f"{python}/train.py",
            test=f"{python}/test.py",
            interrupted=INTERRUPTED,
        )
        write_whole(self.out / "array.sbatch", text.encode())
        return self.out / "array.sbatch"


def write_study_page(
    study: Study, runs: Sequence[Run], columns: Sequence[str], rows: Sequence[Row]
) -> Path:
    """Write index.html with the comparison, its plot and the runs of the tasks; return its path."""
    means = next(row for row in rows if row[0] == "mIoU")
    cards = [
        {"name": f"mIoU, {column}", "value": value}
        for column, value in zip(columns, means, strict=True)
        if "(n=" in column
    ]
    text = (
        "In percent; mean +- standard deviation over the seeds. Differences are from the first "
        "variant, with 95 % intervals and p-values from a paired bootstrap over the images. They "
        "do not contain the spread of the seeds."
    )
    tasks = [
        [task.variant, task.seed, f"{scores(run.counts.total()).summary['mIoU']:.2f}", run.path]
        for task, run in zip(study.tasks, runs, strict=True)
    ]
    plot = figures.svg(study.out / f"{study.name}.svg")
    sections: list[dict[str, Any]] = [
        {"title": "Variants", "texts": [], "svg": plot},
        {"title": "Classes and means", "texts": [text], "columns": columns, "rows": rows},
        {"title": "Runs", "texts": [], "columns": RUN_COLUMNS, "rows": tasks, "file": "runs.csv"},
    ]
    return write_page(study.out / "index.html", f"{study.name}: study", cards, sections)
