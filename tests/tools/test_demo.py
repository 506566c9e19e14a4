"""Synthetic scenes: the same seed gives the same scene, and a scene is fit to learn from."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from run_tool import run_tool
from scipy import ndimage

from demo.land import BACKGROUND, BUILDING, ROAD, WATER, WOODLAND, Canvas
from demo.layers import draw_scene, plant
from make_demo_scenes import write_lists, write_sheet

TOOL = Path(__file__).parents[2] / "tools/make_demo_scenes.py"


def test_same_seed_gives_same_bytes_and_another_seed_another_scene():
    image, mask = draw_scene(96, 128, seed=3)
    again, mask_again = draw_scene(96, 128, seed=3)
    other, _ = draw_scene(96, 128, seed=4)
    assert np.array_equal(image, again) and np.array_equal(mask, mask_again)
    assert not np.array_equal(image, other)


def test_scene_has_the_asked_size_and_bytes():
    image, mask = draw_scene(96, 128, seed=0)
    assert image.shape == (96, 128, 3) and image.dtype == np.uint8
    assert mask.shape == (96, 128) and mask.dtype == np.uint8


@pytest.mark.parametrize(("height", "width", "seed"), [(512, 512, 0), (520, 700, 1)])
def test_every_class_has_its_share(height, width, seed):
    _, mask = draw_scene(height, width, seed)
    share = np.bincount(mask.ravel(), minlength=5) / mask.size
    assert len(share) == 5
    low = {BACKGROUND: 0.45, BUILDING: 0.02, WOODLAND: 0.15, WATER: 0.04, ROAD: 0.04}
    high = {BACKGROUND: 0.65, BUILDING: 0.12, WOODLAND: 0.30, WATER: 0.18, ROAD: 0.11}
    for label in range(5):
        assert low[label] < share[label] < high[label]


def test_most_buildings_and_roads_are_wide_enough_for_a_decoder_at_one_eighth():
    _, mask = draw_scene(512, 512, seed=1)
    buildings, count = ndimage.label(mask == BUILDING)
    widest = ndimage.maximum(
        ndimage.distance_transform_edt(buildings > 0), buildings, range(1, count + 1)
    )
    assert np.median(widest) * 2 >= 18
    # On a strip w pixels wide the distance to its edge averages w / 4.
    assert ndimage.distance_transform_edt(mask == ROAD)[mask == ROAD].mean() * 4 >= 8


def test_woods_and_water_are_darker_than_fields_and_roads_are_greyer():
    image, mask = draw_scene(512, 512, seed=2)
    brightness = image.mean(axis=2)
    field = np.median(brightness[mask == BACKGROUND])
    assert np.median(brightness[mask == WOODLAND]) < field - 20
    assert np.median(brightness[mask == WATER]) < field - 20
    spread = np.ptp(image.astype(int), axis=2)
    assert np.median(spread[mask == ROAD]) < np.median(spread[mask == BACKGROUND])


def test_shadow_falls_beside_a_building_and_is_not_building():
    canvas = Canvas(60, 60, np.random.default_rng(0))
    canvas.image += 100
    canvas.mask[25:35, 25:35] = BUILDING
    canvas.height[25:35, 25:35] = 8
    canvas.cast_shadows()
    dark = canvas.image[..., 0] < 60
    assert dark[:25].sum() > 30, "north is up and the sun in the south"
    assert not dark[36:].any()
    assert not dark[canvas.mask == BUILDING].any()


def test_planting_names_the_nearest_tree():
    distance, tree, places = plant(np.random.default_rng(0), (50, 70))
    rows, cols = np.mgrid[:50, :70]
    to_named = np.hypot(rows - places[tree][..., 0], cols - places[tree][..., 1])
    assert np.abs(to_named - distance).max() < 0.5, "OpenCV's distance is approximate"


def test_archive_holds_the_sheets_of_its_lists_and_no_sheet_is_in_two_lists(tmp_path):
    for number in (1, 2, 3, 4):
        write_sheet(tmp_path, number, size=150, seed=0)
    write_lists(tmp_path, sheets=4, size=150, tile=64)
    listed = {
        split: {line.rsplit("_", 1)[0] for line in (tmp_path / f"{split}.txt").open()}
        for split in ("train", "val", "test")
    }
    assert listed == {"train": {"DEMO-1", "DEMO-2"}, "val": {"DEMO-3"}, "test": {"DEMO-4"}}
    # 150 pixels in tiles of 64: three per row are counted, but the third is cut.
    test_tiles = (tmp_path / "test.txt").read_text().split()
    assert test_tiles == ["DEMO-4_0", "DEMO-4_1", "DEMO-4_3", "DEMO-4_4"]
    for folder in ("images", "masks"):
        found = sorted(path.name for path in (tmp_path / folder).iterdir())
        assert found == [f"DEMO-{number}.tif" for number in (1, 2, 3, 4)]


def test_sheets_are_neighbours_on_the_map(tmp_path):
    for number in (1, 2):
        write_sheet(tmp_path, number, size=64, seed=0)
    first, second = (rasterio.open(tmp_path / f"images/DEMO-{n}.tif") for n in (1, 2))
    mask = rasterio.open(tmp_path / "masks/DEMO-1.tif")
    assert first.crs.to_epsg() == 2180 and first.res == (0.5, 0.5)
    assert (first.count, mask.count) == (3, 1)
    assert mask.transform == first.transform
    assert second.bounds.left == first.bounds.right and second.bounds.top == first.bounds.top


def test_tool_refuses_an_archive_that_would_lack_a_split(tmp_path):
    done = run_tool("make_demo_scenes.py", tmp_path / "demo", "--sheets", 2)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --sheets 2 --size 1024 --seed 0: train, val and test")
    assert done.stderr.count("\n") == 1
