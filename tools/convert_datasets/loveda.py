"""Sort the files of LoveDA: python tools/convert_datasets/loveda.py ARCHIVES --out data/loveDA"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg.datasets.converters.loveda import convert_loveda
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="the folder with Train.zip and Val.zip")
    parser.add_argument("--out", type=Path, default=Path("data/loveDA"), metavar="DIR")
    args = parser.parse_args()

    counts = convert_loveda(args.source, args.out)
    MMLogger.get_current_instance().info(f"{args.out}: {counts} images")


if __name__ == "__main__":
    main()
