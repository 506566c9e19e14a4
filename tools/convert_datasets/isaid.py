"""Cut iSAID into tiles: python tools/convert_datasets/isaid.py ISAID --out data/iSAID"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg.datasets.converters.isaid import OVERLAP, TILE, convert_isaid
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="the folder with train/ and val/, unpacked")
    parser.add_argument("--out", type=Path, default=Path("data/iSAID"), metavar="DIR")
    parser.add_argument("--tile", type=int, default=TILE, help="side of a tile in pixels")
    parser.add_argument("--overlap", type=int, default=OVERLAP, help="pixels two tiles share")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    args = parser.parse_args()

    count = convert_isaid(args.root, args.out, args.workers, args.tile, args.overlap)
    MMLogger.get_current_instance().info(f"{args.out}: {count} tiles")


if __name__ == "__main__":
    main()
