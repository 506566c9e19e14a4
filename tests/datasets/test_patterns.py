"""Data sets of any folders, by patterns of the paths of images and masks."""

import pytest
from PIL import Image

from mmseg.datasets import build_dataset
from mmseg.datasets.check import masks_without_image
from mmseg.errors import UserError

META = {"classes": ("a", "b"), "palette": [(0, 0, 0), (255, 0, 0)]}
TILES = {"img_path": "Tile */images/{name}.jpg", "seg_map_path": "Tile */masks/{name}.png"}


@pytest.fixture
def root(tmp_path):
    for path in (
        *("Tile 1/images/a.b.jpg", "Tile 1/masks/a.b.png", "Tile 2/images/c.jpg"),
        *("Tile 2/masks/c.png", "Tile 2/images/c.txt", "other/images/d.jpg"),
        *("copy (2)/tile_7.jpg", "copy (2)/mask_7.png"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / path, format="PNG")
    return tmp_path


def pairs(root, prefix, **more):
    config = {"type": "BaseSegDataset", "metainfo": META, "data_root": str(root), **more}
    dataset = build_dataset({**config, "data_prefix": prefix})
    assert not masks_without_image(dataset)
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    keys = ("img_path", "seg_map_path")
    return [[str(s[key]).removeprefix(f"{root}/") for key in keys if key in s] for s in samples]


def test_a_glob_finds_the_images_of_several_folders_and_their_masks(root):
    expected = [
        ["Tile 1/images/a.b.jpg", "Tile 1/masks/a.b.png"],
        ["Tile 2/images/c.jpg", "Tile 2/masks/c.png"],
    ]
    assert pairs(root, TILES) == expected
    assert pairs(root, {"img_path": TILES["img_path"]}) == [[image] for image, _ in expected]
    (root / "list.txt").write_text("Tile 2/images/c.jpg\n")
    assert pairs(root, TILES, ann_file="list.txt") == expected[1:]
    (root / "list.txt").write_text("c\n")
    with pytest.raises(UserError, match=r"^c: does not match img_path; write paths below"):
        pairs(root, TILES, ann_file="list.txt")


def test_a_regular_expression_names_the_mask_by_its_groups(root):
    prefix = {"img_path": r"copy \(2\)/tile_(.*)\.jpg", "seg_map_path": r"copy (2)/mask_\1.png"}
    assert pairs(root, prefix) == [["copy (2)/tile_7.jpg", "copy (2)/mask_7.png"]]
    with pytest.raises(UserError, match=r"copy \(2\)/x\.jpg|no image ends in"):
        pairs(root, {"img_path": "copy (2)"}, img_suffix=".tif")  # a folder, no pattern


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ({"img_path": r"tile_(.*\.png"}, r"img_path='tile_.*: no regular expression \(missing \)"),
        ({"img_path": "Tile */{name}.tif"}, "no image matches the pattern of img_path"),
        ({**TILES, "seg_map_path": "Tile */*/{name}.png"}, "seg_map_path does not fit img_path"),
        (
            {**TILES, "seg_map_path": "Tile */ids/{name}.png"},
            r"2 of 2 masks are not there, as Tile 1/ids/a\.b\.png",
        ),
    ],
)
def test_a_pattern_that_cannot_be_right_is_one_line(root, prefix, message):
    with pytest.raises(UserError, match=message):
        pairs(root, prefix)


def test_palettes_that_differ_are_read_by_their_colours_here_too(root):
    palettes = {"Tile 1/masks/a.b.png": [0, 0, 0, 255, 0, 0], "Tile 2/masks/c.png": [255, 0, 0]}
    for name, colours in palettes.items():
        mask = Image.new("P", (4, 4))
        mask.putpalette(colours)
        mask.save(root / name)
    config = {"type": "BaseSegDataset", "metainfo": META, "data_root": str(root)}
    dataset = build_dataset({**config, "data_prefix": TILES})
    assert [dataset.get_seg_map(index).max() for index in (0, 1)] == [0, 1]
