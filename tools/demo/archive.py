"""Synthetic scenes in the layout of LandCover.ai: images, masks and lists of tiles."""

from pathlib import Path

from demo import draw_scene
from mmseg.files import write_whole
from mmseg.imagery.geotiff import Affine, write_geotiff
from mmseg.imagery.tiles import full_tiles

CRS = "EPSG:2180"
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
        write_geotiff(out / folder / f"{sheet_name(number)}.tif", array, transform, CRS)


def write_lists(out: Path, sheets: int, size: int, tile: int = TILE) -> None:
    """Write train.txt, val.txt and test.txt. The last sheet is test, the one before it val."""
    splits = {"train": range(1, sheets - 1), "val": [sheets - 1], "test": [sheets]}
    for split, numbers in splits.items():
        ids = [f"{sheet_name(n)}_{k}" for n in numbers for k in full_tiles(size, size, tile)]
        write_whole(out / f"{split}.txt", "".join(f"{name}\n" for name in ids).encode())


def sheet_name(number: int) -> str:
    """Name a map sheet. Real sheets have other names."""
    return f"DEMO-{number}"
