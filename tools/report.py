"""Write the page of a test from its files: python tools/report.py RUN... [--out DIR]

A RUN is a work directory or an eval_*.json. tools/test.py --report writes the same page, and keeps
the measures of boundaries and calibration and the predictions, which the page then shows.
"""

from pathlib import Path

from common import tool_parser

from mmseg.errors import UserError, one_line_errors
from mmseg.results.report import write_report
from mmseg.results.runs import Run


@one_line_errors
def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, help="the folder of the page (report, beside the JSON)")
    args = parser.parse_args()
    if args.out and len(args.runs) > 1:
        raise UserError("--out: give one run, or leave it out")
    for run in map(Run.load, args.runs):
        print(write_report(run, args.out or run.path.parent / "report"))


if __name__ == "__main__":
    main()
