"""Plot the curves of trainings: python tools/plot_runs.py WORK_DIR... --out curves

Writes curves.png and curves.svg, with a panel for each scalar and a line for each run.
"""

from pathlib import Path

from common import tool_parser

from mmseg.errors import one_line_errors
from mmseg.results.figures import plot_curves, read_curves


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="WORK_DIR")
    text = "names of scalars; IoU/* is every class, IoU/water one"
    parser.add_argument("--scalars", nargs="+", default=["loss", "lr", "mIoU"], help=text)
    parser.add_argument("--out", type=Path, default=Path("curves"), help="without suffix")
    args = parser.parse_args()
    runs = {str(run): read_curves(run) for run in args.runs}
    print(*plot_curves(args.out, runs, args.scalars), sep="\n")


if __name__ == "__main__":
    main()
