"""Write the train ids of Cityscapes: python tools/convert_datasets/cityscapes.py data/cityscapes"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg.datasets.converters.relabel import convert_cityscapes
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="the folder with leftImg8bit/ and gtFine/")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    args = parser.parse_args()

    count = convert_cityscapes(args.root, args.workers)
    MMLogger.get_current_instance().info(f"{args.root}/gtFine: {count} masks in train ids")


if __name__ == "__main__":
    main()
