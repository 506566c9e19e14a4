"""Potsdam and Vaihingen, from tiny archives in the layout of theirs."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import build_dataset
from mmseg.datasets.converters.tiled import ISPRS_PALETTE, LAYOUTS, convert_tiled
from mmseg.errors import UserError

COLOURS = np.array(ISPRS_PALETTE, np.uint8)
# An area of training and one of validation, and what else lies in the archives.
FILES = {
    "potsdam": (
        {"2_10": "2_Ortho_RGB/top_potsdam_2_10_RGB.tif", "7_13": "top_potsdam_7_13_RGB.tif"},
        {"2_10": "top_potsdam_2_10_label_noBoundary.tif"},
        {"7_13": "5_Labels/top_potsdam_7_13_label_noBoundary.tif"},
        "2_Ortho_RGB/top_potsdam_2_10_RGB.tfw",
    ),
    "vaihingen": (
        {"area1": "top/top_mosaic_09cm_area1.tif", "area2": "top/top_mosaic_09cm_area2.tif"},
        {"area1": "top_mosaic_09cm_area1_noBoundary.tif"},
        {"area2": "top_mosaic_09cm_area2_noBoundary.tif"},
        "gts_for_participants/top_mosaic_09cm_area1.tif",
    ),
}


def encoded(array, path):
    Image.fromarray(array).save(path, format="TIFF")
    return path.read_bytes()


@pytest.fixture(params=sorted(FILES))
def archives(request, tmp_path):
    """The name, the folder of the archives, and image and ids of each area."""
    rng = np.random.default_rng(0)
    images, first, second, other = FILES[request.param]
    areas = {
        area: (rng.integers(0, 256, (70, 90, 3), np.uint8), rng.integers(0, 7, (70, 90)))
        for area in images
    }
    folder = tmp_path / "archives"
    folder.mkdir()
    tops, labels = (folder / archive for archive in LAYOUTS[request.param].archives)
    with zipfile.ZipFile(tops, "w") as file:
        for area, name in images.items():
            file.writestr(name, encoded(areas[area][0], tmp_path / "x.tif"))
        file.writestr(other, encoded(COLOURS[areas[next(iter(areas))][1]], tmp_path / "x.tif"))
    with zipfile.ZipFile(labels, "w") as file:
        for area, name in {**first, **second}.items():
            file.writestr(name, encoded(COLOURS[areas[area][1]], tmp_path / "x.tif"))
    return request.param, folder, areas


def test_the_archives_become_tiles_that_overlap_in_training(archives, tmp_path):
    name, folder, areas = archives
    out = tmp_path / "out"
    assert convert_tiled(name, folder, out, tile=32, overlap=16) == 5 * 4 + 3 * 3
    assert sorted(path.name for path in out.iterdir()) == ["ann_dir", "img_dir"]
    kind = {"potsdam": "PotsdamDataset", "vaihingen": "ISPRSDataset"}[name]
    for split, area in zip(("train", "val"), areas, strict=True):
        folders = {"img_path": f"img_dir/{split}", "seg_map_path": f"ann_dir/{split}"}
        config = {"type": kind, "data_root": str(out), "data_prefix": folders, "pipeline": []}
        dataset = build_dataset(config)
        image, ids = areas[area]
        covered = np.zeros(ids.shape, int)
        for i, sample in enumerate(dataset.get_data_info(j) for j in range(len(dataset))):
            left, top, right, bottom = map(int, sample["img_path"][:-4].split("_")[-4:])
            window = slice(top, bottom), slice(left, right)
            covered[window] += 1
            np.testing.assert_array_equal(np.asarray(Image.open(sample["img_path"])), image[window])
            expected = np.array([255, 0, 1, 2, 3, 4, 5], np.uint8)[ids[window]]
            np.testing.assert_array_equal(dataset.get_seg_map(i), expected)
        assert covered.min() >= 1
        assert (covered > 1).mean() > 0.5 if split == "train" else (covered > 1).mean() < 0.45


def test_a_few_strange_colours_are_ignored_and_counted_and_many_are_refused(
    archives, tmp_path, log
):
    name, folder, areas = archives
    labels = folder / LAYOUTS[name].archives[1]
    _, first, second, _ = FILES[name]
    for count in (3, 700):
        with zipfile.ZipFile(labels, "w") as file:
            for area, path in {**first, **second}.items():
                colours = COLOURS[areas[area][1]]
                colours.reshape(-1, 3)[:count] = (1, 2, 3)
                file.writestr(path, encoded(colours, tmp_path / "x.tif"))
        if count == 3:
            convert_tiled(name, folder, tmp_path / "out")
            assert "6 pixels of the masks have colours of no class" in log.read()
        else:
            with pytest.raises(UserError, match="the colour #010203 is no class"):
                convert_tiled(name, folder, tmp_path / "other")


def test_a_folder_without_the_archives_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no image top_potsdam"):
        convert_tiled("potsdam", tmp_path / "empty", tmp_path / "out")
