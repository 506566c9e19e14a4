"""Convert the LandCover.ai archive: python tools/convert_datasets/landcover.py ARCHIVE_OR_FOLDER"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmseg.datasets.converters.landcover import convert_landcover
from mmseg.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="landcover.ai.v1.zip or the unpacked folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("data/landcover"))
    parser.add_argument("--image-format", choices=("jpg", "png"), default="jpg")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    args = parser.parse_args()

    pixels = convert_landcover(args.source, args.out, args.image_format, args.workers)
    total = sum(pixels["total"])
    shares = ", ".join(f"{count / total:.1%}" for count in pixels["total"])
    MMLogger.get_current_instance().info(f"{args.out}: classes 0..4 have {shares} of the pixels")


if __name__ == "__main__":
    main()
