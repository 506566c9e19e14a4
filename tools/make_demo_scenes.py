"""Draw an aerial survey from a seed and write it in the archive layout of LandCover.ai.

OUT/images/<sheet>.tif and OUT/masks/<sheet>.tif are GeoTIFFs of neighbouring map sheets (EPSG:2180,
0.5 m pixels). OUT/train.txt, val.txt and test.txt name their full 512 x 512 tiles. The last sheet
is for testing and the one before it for validation. A second run writes the same files.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import track

from demo.layers import draw_scene
from mmseg.datasets.converters.common import write_ids
from mmseg.datasets.converters.tiled import LANDCOVER, windows
from mmseg.errors import UserError, one_line_errors
from mmseg.files import make_writable
from mmseg.imagery.geotiff import Affine, write_geotiff

PIXEL_SIZE = 0.5  # metres
WEST, NORTH = 500_000, 500_000  # corner of the first sheet, in metres
TILE = 512


def write_sheet(out: Path, number: int, size: int, seed: int) -> None:
    """Draw sheet `number`, 1 or more, of size x size pixels. It lies east of the one before."""
    image, mask = draw_scene(size, size, 1000 * seed + number)
    west = WEST + (number - 1) * size * PIXEL_SIZE
    transform = Affine(PIXEL_SIZE, 0, west, 0, -PIXEL_SIZE, NORTH)
    for folder, array in (("images", image), ("masks", mask)):
        (out / folder).mkdir(parents=True, exist_ok=True)
        write_geotiff(out / folder / f"DEMO-{number}.tif", array, transform, "EPSG:2180")


def write_lists(out: Path, sheets: int, size: int, tile: int = TILE) -> None:
    """Write train.txt, val.txt and test.txt. The last sheet is test, the one before it val."""
    layout = LANDCOVER._replace(tile=tile)
    splits = {"train": range(1, sheets - 1), "val": [sheets - 1], "test": [sheets]}
    for split, numbers in splits.items():
        names = [name for n in numbers for name in windows(f"DEMO-{n}", "", (size, size), layout)]
        write_ids(out / f"{split}.txt", names)


def check(args: argparse.Namespace) -> None:
    """Refuse arguments for an archive without one of the splits, or with sheets of another one."""
    if args.sheets < 3 or args.size < TILE or args.seed < 0:
        told = f"train, val and test need a sheet each, and --size starts at {TILE}"
        raise UserError(f"--sheets {args.sheets} --size {args.size} --seed {args.seed}: {told}")
    make_writable(args.out)
    wanted = {f"DEMO-{number}" for number in range(1, args.sheets + 1)}
    foreign = sorted({path.stem for path in args.out.glob("images/*.tif")} - wanted)
    if foreign:
        raise UserError(f"{args.out} already holds sheet {foreign[0]}: name a new folder")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a synthetic LandCover.ai archive.")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--sheets", type=int, default=8, help="number of map sheets, at least 3")
    parser.add_argument("--size", type=int, default=1024, help="pixels on a side, at least 512")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another landscape")
    args = parser.parse_args()
    check(args)
    console = Console(stderr=True)
    for number in track(range(1, args.sheets + 1), "Drawing sheets", console=console):
        write_sheet(args.out, number, args.size, args.seed)
    write_lists(args.out, args.sheets, args.size)
    console.print(f"{args.sheets} sheets of {args.size} x {args.size} pixels: {args.out}")


if __name__ == "__main__":
    main()
