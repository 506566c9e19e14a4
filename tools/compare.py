"""Compare tested runs class by class: python tools/compare.py RUN_A RUN_B ...

A RUN is a work directory, or the eval_*.json that tools/test.py wrote in it. Runs of one config are
seeds of one variant: their mean and standard deviation are shown. The first variant is compared
with the others by a paired bootstrap over the images.
"""

from pathlib import Path

from common import tool_parser

from mmseg.errors import one_line_errors
from mmseg.evaluation.report import render_table
from mmseg.results.runs import Run, comparison, variants_of
from mmseg.results.tables import write_tables


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write FILE.md, .csv, .tex")
    args = parser.parse_args()
    columns, rows = comparison(variants_of([Run.load(run) for run in args.runs]))
    print(render_table(columns, rows))
    if args.out:
        print(*write_tables(args.out, columns, rows), sep="\n")


if __name__ == "__main__":
    main()
