"""Make the masks of Pascal Context: python tools/convert_datasets/pascal_context.py VOC LABELS"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg.datasets.converters.pascal_context import convert_pascal_context
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devkit", type=Path, help="the folder with VOC2010/: data/VOCdevkit")
    parser.add_argument("labels", type=Path, help="the folder of <id>.mat from trainval.tar.gz")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    args = parser.parse_args()

    counts = convert_pascal_context(args.devkit, args.labels, args.workers)
    MMLogger.get_current_instance().info(f"{args.devkit}: {counts} masks")


if __name__ == "__main__":
    main()
