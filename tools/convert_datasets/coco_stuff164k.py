"""Write the train ids of COCO-Stuff: python tools/convert_datasets/coco_stuff164k.py MASKS"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg.datasets.converters.relabel import convert_coco_stuff
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("masks", type=Path, help="stuffthingmaps: the folder of train2017, val2017")
    parser.add_argument("--out", type=Path, default=Path("data/coco_stuff164k"), metavar="DIR")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    args = parser.parse_args()

    folders = {split: args.masks / split for split in ("train2017", "val2017")}
    count = convert_coco_stuff(folders, args.out, args.workers)
    MMLogger.get_current_instance().info(f"{args.out}/annotations: {count} masks in train ids")


if __name__ == "__main__":
    main()
