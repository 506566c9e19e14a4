"""iSAID to tiles: img_dir/<split>/<image>_<y0>_<y1>_<x0>_<x1>.png and masks of class ids.

Images are up to 13,000 pixels wide. They are cut into tiles of 896 x 896 that overlap by 384. The
last tile of a row or column ends at the border. A smaller image is padded with black and with
ignored labels. Names and tiles are those of MMSegmentation.
"""

from functools import partial
from pathlib import Path

from mmseg.datasets.converters import common
from mmseg.datasets.converters.tiles import check_overlap, colours_to_ids, tiles
from mmseg.datasets.isaid import iSAIDDataset
from mmseg.errors import UserError
from mmseg.imagery import read_image
from mmseg.imagery.mask import check_size

MASK_SUFFIX = iSAIDDataset.seg_map_suffix
TILE, OVERLAP = 896, 384


def convert_isaid(
    root: Path, out: Path, workers: int = 1, tile: int = TILE, overlap: int = OVERLAP
) -> int:
    """Cut `root/{train,val}/images/*.png` and their colour masks; returns the number of tiles.

    Masks lie in `Semantic_masks/images` beside `images`, as `<image>_instance_color_RGB.png`.
    """
    check_overlap(tile, overlap)
    total = 0
    for split in ("train", "val"):
        images = common.find(root / split / "images", "**/*.png")
        if not images:
            raise UserError(f"{root / split}/images: no image; unpack the archives there first")
        found = common.find(root / split / "Semantic_masks", f"**/*{MASK_SUFFIX}")
        masks = {mask.name: mask for mask in found}
        if absent := [i.stem for i in images if i.stem + MASK_SUFFIX not in masks]:
            names = common.name_some(absent, len(images))
            raise UserError(
                f"{root / split}/Semantic_masks: {names} without a mask <image>{MASK_SUFFIX}"
            )
        pairs = [(image, masks[image.stem + MASK_SUFFIX]) for image in images]
        cut = partial(_cut, out=out, split=split, tile=tile, overlap=overlap)
        total += sum(common.map_with_progress(cut, pairs, workers))
    return total


def _cut(pair: tuple[Path, Path], out: Path, split: str, tile: int, overlap: int) -> int:
    path, mask_path = pair
    image = read_image(path)
    ids, _ = colours_to_ids(read_image(mask_path), iSAIDDataset.METAINFO["palette"], mask_path)
    check_size(mask_path, ids.shape, path, image.shape[:2])
    count = 0
    for top, left, pixels, labels in tiles(image, ids, tile, overlap):
        name = f"{path.stem}_{top}_{top + tile}_{left}_{left + tile}"
        common.write_png(out / "ann_dir" / split / (name + MASK_SUFFIX), labels)
        common.write_png(out / "img_dir" / split / f"{name}.png", pixels)
        count += 1
    return count
