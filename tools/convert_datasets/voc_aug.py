"""Join Pascal VOC 2012 and SBD: python tools/convert_datasets/voc_aug.py VOCDEVKIT SBD"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg.datasets.converters.voc_aug import convert_voc_aug
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devkit", type=Path, help="the folder with VOC2012/: data/VOCdevkit")
    parser.add_argument("sbd", type=Path, help="the folder with dataset/: data/VOCdevkit/VOCaug")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--allow-partial", action="store_true", help="accept lists that do not give 10,582 ids"
    )
    args = parser.parse_args()

    ids = convert_voc_aug(args.devkit, args.sbd, args.workers, args.allow_partial)
    MMLogger.get_current_instance().info(f"{args.devkit}: trainaug.txt lists {len(ids)} masks")


if __name__ == "__main__":
    main()
