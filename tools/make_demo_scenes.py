"""Draw an aerial survey from a seed and write it in the archive layout of LandCover.ai.

OUT/images/<sheet>.tif and OUT/masks/<sheet>.tif are GeoTIFFs of neighbouring map sheets (EPSG:2180,
0.5 m pixels). OUT/train.txt, val.txt and test.txt name their full 512 x 512 tiles. The last sheet
is for testing and the one before it for validation. A second run writes the same files.
"""

import argparse
from pathlib import Path

from demo.archive import TILE, sheet_name, write_lists, write_sheet
from rich.console import Console
from rich.progress import track

from mmseg.errors import UserError, one_line_errors


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Draw a synthetic LandCover.ai archive.")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--sheets", type=int, default=8, help="number of map sheets, at least 3")
    parser.add_argument("--size", type=int, default=1024, help="pixels on a side, at least 512")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another landscape")
    return parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Refuse arguments for an archive without one of the splits, or with sheets of another one."""
    if args.sheets < 3:
        raise UserError(
            f"--sheets {args.sheets}: train, val and test need one each, give 3 or more"
        )
    if args.size < TILE:
        raise UserError(f"--size {args.size}: no {TILE} pixel tile fits, give {TILE} or more")
    if args.seed < 0:
        raise UserError(f"--seed {args.seed}: give 0 or more")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {args.out}: {error.strerror}") from error
    wanted = {sheet_name(number) for number in range(1, args.sheets + 1)}
    foreign = sorted({path.stem for path in args.out.glob("images/*.tif")} - wanted)
    if foreign:
        raise UserError(f"{args.out} already holds sheet {foreign[0]}: name a new folder")


@one_line_errors
def main() -> None:
    args = parse_args()
    check(args)
    console = Console(stderr=True)
    for number in track(range(1, args.sheets + 1), "Drawing sheets", console=console):
        write_sheet(args.out, number, args.size, args.seed)
    write_lists(args.out, args.sheets, args.size)
    console.print(f"{args.sheets} sheets of {args.size} x {args.size} pixels: {args.out}")


if __name__ == "__main__":
    main()
