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
from mmseg.results.study import Study, Task


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    add = parser.add_argument
    add("study", help="a Python file with variants and seeds")
    add("--out", type=Path, help="the folder of all runs (work_dirs/<study>)")
    add("--seeds", type=int, nargs="+")
    add("--jobs", type=positive_int, default=1, help="runs at a time")
    add("--slurm", action="store_true", help="only write an array job (docs/cluster.md)")
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
    columns, rows, paths = study.report()
    print(render_table(columns, rows))
    print(*paths, sep="\n")


def run_all(study: Study, jobs: int) -> None:
    """Run the tasks that are left, `jobs` at a time; these share the GPUs out."""
    count = torch.cuda.device_count()
    places: Queue[dict[str, str]] = Queue()
    for job in range(jobs):
        places.put({"CUDA_VISIBLE_DEVICES": str(job % count)} if count else {})

    def run(task: Task) -> None:
        place = places.get()
        try:
            task.run(HERE, place)
        finally:
            places.put(place)

    in_threads(run, [task for task in study.tasks if not task.is_done], jobs, "runs")


if __name__ == "__main__":
    main()
