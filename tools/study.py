"""Train, test and compare the variants of a study: python tools/study.py STUDY.py --out DIR

Started again, it goes on where it was interrupted. Finished runs are not repeated.
"""

import sys
from pathlib import Path
from queue import Queue

from common import HERE, in_threads, positive_int, tool_parser

import torch

from mmseg.errors import one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.results.compare import comparison, variants_of
from mmseg.results.figures import error_bars
from mmseg.results.runs import Run
from mmseg.results.study import Study, Task, write_study_page
from mmseg.results.tables import write_tables


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    add = parser.add_argument
    add("study", help="a Python file with variants and seeds")
    add("--out", type=Path, help="the folder of all runs (work_dirs/<study>)")
    add("--seeds", type=int, nargs="+")
    add("--jobs", type=positive_int, default=1, help="runs at a time")
    text = "only write an array job, for sbatch (docs/cluster.md)"
    add("--slurm", action="store_true", help=text)
    args = parser.parse_args()
    out = args.out or Path("work_dirs") / Path(args.study).stem
    study = Study(args.study, out, args.seeds)
    study.prepare()
    if args.slurm:
        print(f"sbatch {study.write_slurm(HERE)}")
        return
    try:
        run_all(study, args.jobs)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")
    report(study)


def run_all(study: Study, jobs: int) -> None:
    """Run the tasks that are left, `jobs` at a time; these share the GPUs out."""
    left = [task for task in study.tasks if not task.is_done]
    count = torch.cuda.device_count()
    gpus: Queue[int | None] = Queue()
    for job in range(jobs):
        gpus.put(job % count if count else None)

    def run(task: Task) -> None:
        gpu = gpus.get()
        try:
            task.run(HERE, gpu)
        finally:
            gpus.put(gpu)

    in_threads(run, left, jobs, "runs")


def report(study: Study) -> None:
    """Print the comparison, and write it as tables, a plot and a page."""
    runs = [Run.load(task.folder) for task in study.tasks]
    variants = variants_of(runs)
    columns, rows = comparison(variants)
    print(render_table(columns, rows))
    stem = study.out / study.name
    paths = write_tables(stem, columns, rows)
    places = [v["x"] for v in study.variants.values() if v.get("x") is not None]
    names = [variant.name for variant in variants]
    scores = [variant.values["mIoU"] for variant in variants]
    along = places if len(places) == len(variants) else names
    paths += error_bars(stem, study.x_label, "mIoU (%)", along, scores)
    print(*paths, write_study_page(study, runs, columns, rows), sep="\n")


if __name__ == "__main__":
    main()
