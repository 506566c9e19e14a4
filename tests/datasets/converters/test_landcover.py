"""The LandCover.ai converter on generated archives, and on real ones where they are at hand."""

import json
import os
import shutil
import zipfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from PIL import Image

from mmseg.datasets.converters import landcover
from mmseg.errors import UserError
from mmseg.imagery.geotiff import write_geotiff

SIZE = 64
convert = partial(landcover.convert_landcover, tile=SIZE)

# (height, width) of each sheet: 2 x 3 full tiles numbered in rows of 4, 1 x 2 in rows of 3, 2 x 1.
SHEETS = {"N-1-a": (150, 210), "N-1-b": (100, 140), "N-2": (128, 64)}
SHEET_IDS = {"N-1-a": (0, 1, 2, 4, 5, 6), "N-1-b": (0, 1), "N-2": (0, 1)}
ALL_IDS = [f"{name}_{k}" for name, numbers in SHEET_IDS.items() for k in numbers]
LISTS = {
    "train": ["N-1-a_0", "N-1-b_1", "N-1-a_5", "N-2_1", "N-1-a_2", "N-1-a_6"],
    "val": ["N-1-a_4", "N-1-b_0"],
    "test": ["N-2_0", "N-1-a_1"],
}


def write_raster(path: Path, pixels: np.ndarray) -> None:
    write_geotiff(path, pixels, rasterio.Affine(0.25, 0, 5e5, 0, -0.25, 5e6), "EPSG:2180")


def read_raster(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read().transpose(1, 2, 0)


@pytest.fixture
def archive(tmp_path) -> Path:
    """An unpacked archive; the mask of N-1-b has three equal channels."""
    root = tmp_path / "archive"
    rng = np.random.default_rng(0)
    for name, (height, width) in SHEETS.items():
        coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        image = cv2.resize(coarse, (width, height))
        mask = rng.integers(0, 5, (height, width, 1), np.uint8)
        write_raster(root / "images" / f"{name}.tif", image)
        write_raster(root / "masks" / f"{name}.tif", mask.repeat(3 if name == "N-1-b" else 1, 2))
    for split, ids in LISTS.items():
        (root / f"{split}.txt").write_text("\n".join(ids) + "\n")
    (root / "split.py").write_text("raise SystemExit('never run')\n")
    return root


@pytest.fixture
def cut(archive, tmp_path) -> Path:
    """The same archive as its own script leaves it, with masks of three equal channels."""
    root = tmp_path / "cut"
    (root / "output").mkdir(parents=True)
    for split in LISTS:
        shutil.copyfile(archive / f"{split}.txt", root / f"{split}.txt")
    for name, numbers in SHEET_IDS.items():
        for k in numbers:
            image = tile_of(read_raster(archive / f"images/{name}.tif"), k)
            mask = tile_of(read_raster(archive / f"masks/{name}.tif"), k)[:, :, :1].repeat(3, 2)
            cv2.imwrite(str(root / f"output/{name}_{k}.jpg"), image[:, :, ::-1])
            cv2.imwrite(str(root / f"output/{name}_{k}_m.png"), mask)
    return root


def tile_of(raster: np.ndarray, k: int) -> np.ndarray:
    columns = -(-raster.shape[1] // SIZE)
    y, x = k // columns * SIZE, k % columns * SIZE
    return raster[y : y + SIZE, x : x + SIZE]


def zip_folder(root: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, prefix + str(path.relative_to(root)))
    return target


def read_folder(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_tiles_keep_the_official_numbers_and_the_pixels_of_their_place(archive, tmp_path):
    out = tmp_path / "out"
    convert(archive, out, "png")
    assert sorted(p.stem for p in (out / "img_dir").iterdir()) == sorted(ALL_IDS)
    assert sorted(p.stem for p in (out / "ann_dir").iterdir()) == sorted(ALL_IDS)
    for tile_id in ALL_IDS:
        name, k = tile_id.rsplit("_", 1)
        image = np.asarray(Image.open(out / f"img_dir/{tile_id}.png"))
        mask = Image.open(out / f"ann_dir/{tile_id}.png")
        assert mask.mode == "L"
        expected = tile_of(read_raster(archive / f"images/{name}.tif"), int(k))
        np.testing.assert_array_equal(image, expected)
        expected = tile_of(read_raster(archive / f"masks/{name}.tif"), int(k))[:, :, 0]
        np.testing.assert_array_equal(np.asarray(mask), expected)


def test_jpeg_tiles_and_masks_equal_those_of_the_official_cut(archive, cut, tmp_path):
    """A JPEG of red-green-blue order or of another quality would differ in its bytes."""
    convert(archive, tmp_path / "from_rasters")
    convert(cut, tmp_path / "from_output")
    assert read_folder(tmp_path / "from_rasters") == read_folder(tmp_path / "from_output")
    official = (cut / "output/N-1-a_5.jpg").read_bytes()
    assert (tmp_path / "from_output/img_dir/N-1-a_5.jpg").read_bytes() == official


def test_an_output_folder_is_taken_instead_of_orthophotos(archive, cut, tmp_path):
    shutil.copytree(cut / "output", archive / "output")
    for path in (archive / "images").iterdir():
        path.write_bytes(b"not looked at")
    convert(archive, tmp_path / "out")
    assert cv2.imread(str(tmp_path / "out/img_dir/N-2_0.jpg")) is not None


def test_official_lists_are_kept_and_no_sheet_stands_in_two_splits_by_sheet(archive, tmp_path):
    convert(archive, tmp_path)
    for split, ids in LISTS.items():
        assert (tmp_path / f"splits/{split}.txt").read_text().split() == ids
    splits = [(tmp_path / f"splits/{s}_by_sheet.txt").read_text().split() for s in LISTS]
    assert sorted(i for ids in splits for i in ids) == sorted(ALL_IDS)
    sheets = [{i.rsplit("_", 1)[0] for i in ids} for ids in splits]
    assert sum(len(names) for names in sheets) == len(SHEETS)
    assert all(splits)


def test_the_split_by_sheet_is_near_70_15_15_on_sheets_like_the_official_ones():
    tiles = {f"M-{i}": 306 for i in range(33)} | {f"N-{i}": 72 for i in range(8)}
    ids = [f"{name}_{k}" for name, count in tiles.items() for k in range(count)]
    splits = landcover.split_by_sheet(ids)
    shares = [len(splits[split]) / len(ids) for split in ("train", "val", "test")]
    np.testing.assert_allclose(shares, [0.70, 0.15, 0.15], atol=0.02)
    assert landcover.split_by_sheet(ids[::-1]) == splits


def test_class_pixels_equal_a_count_by_hand(archive, tmp_path):
    assert convert(archive, tmp_path) == len(ALL_IDS)
    pixels = json.loads((tmp_path / "class_pixels.json").read_text())
    for split, ids in {**LISTS, "total": ALL_IDS}.items():
        masks = [cv2.imread(str(tmp_path / f"ann_dir/{i}.png"), cv2.IMREAD_UNCHANGED) for i in ids]
        assert pixels[split] == [int(sum((m == c).sum() for m in masks)) for c in range(5)]


@pytest.mark.parametrize("prefix", ["", "landcover.ai.v1/"])
def test_a_zip_gives_the_files_of_the_folder_and_leaves_nothing_else(archive, tmp_path, prefix):
    convert(archive, tmp_path / "a")
    convert(zip_folder(archive, tmp_path / "archive.zip", prefix), tmp_path / "b", workers=2)
    assert read_folder(tmp_path / "a") == read_folder(tmp_path / "b")
    assert not (tmp_path / "b/.unpacked").exists()


def test_an_interrupted_conversion_ends_with_the_same_files(archive, tmp_path, monkeypatch):
    path = zip_folder(archive, tmp_path / "archive.zip")
    convert(path, tmp_path / "whole")
    replace, renamed = os.replace, []

    def stop_at_the_seventh(part: Path, final: Path) -> None:
        renamed.append(final)
        if len(renamed) == 7:
            raise KeyboardInterrupt
        replace(part, final)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop_at_the_seventh)
        with pytest.raises(KeyboardInterrupt):
            convert(path, tmp_path / "out")
    assert not renamed[6].exists()
    assert not (tmp_path / "out/splits").exists()
    # What a killed process leaves: the unpacked archive and half a file under the final name.
    (tmp_path / "out/.unpacked/output").mkdir(parents=True)
    (tmp_path / "out/.unpacked/output/stray.jpg").write_bytes(b"")
    renamed[5].write_bytes(b"half")
    convert(path, tmp_path / "out")
    assert read_folder(tmp_path / "out") == read_folder(tmp_path / "whole")


def test_a_listed_id_without_a_tile_is_reported_with_counts(archive, tmp_path):
    # 3 is the number of a dropped edge tile.
    (archive / "val.txt").write_text("N-1-a_4\nN-1-b_0\nN-1-a_3\nN-9_0\n")
    with pytest.raises(UserError, match=r"2 of 4 ids of val\.txt, as N-1-a_3"):
        convert(archive, tmp_path / "out")
    assert not (tmp_path / "out/splits").exists()


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (["images/N-2.tif"], "1 of 3 without image, as N-2"),
        (["masks/N-2.tif"], "1 of 3 without mask, as N-2"),
        (
            [f"{kind}/{name}.tif" for kind in ("images", "masks") for name in SHEETS],
            "no image",
        ),
    ],
)
def test_an_archive_that_lacks_images_or_masks_is_refused(archive, tmp_path, gone, message):
    for name in gone:
        (archive / name).unlink()
    with pytest.raises(UserError, match=message):
        convert(archive, tmp_path / "out")


WRONG = {
    "the 3 channels of the mask differ": np.arange(128 * 64 * 3).reshape(128, 64, 3) % 4,
    "the mask has ids 5 outside": np.full((128, 64, 1), 5),
    r"the mask is 65x128 pixels, its image \S*N-2\.tif 64x128": np.zeros((128, 65, 1)),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("message", WRONG)
def test_a_mask_that_is_wrong_is_named(archive, tmp_path, message, workers):
    write_raster(archive / "masks/N-2.tif", WRONG[message].astype(np.uint8))
    with pytest.raises(UserError, match=rf"masks/N-2\.tif: {message}"):
        convert(archive, tmp_path / "out", workers=workers)


@pytest.mark.parametrize("name", ["N-2_0.jpg", "N-2_0_m.png"])
def test_a_cut_tile_that_cannot_be_read_is_named(cut, tmp_path, name):
    path = cut / "output" / name
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=rf"{name}: the (image|mask) is truncated"):
        convert(cut, tmp_path / "out")


def test_masks_without_roads_are_called_version_0(archive, tmp_path, warnings):
    convert(archive, tmp_path / "out")
    assert not warnings
    for path in (archive / "masks").iterdir():
        write_raster(path, np.minimum(read_raster(path), 3))
    convert(archive, tmp_path / "out")
    assert "version 0" in warnings[0]


def test_the_real_layout_gives_all_listed_tiles_and_its_own_masks(real_data, tmp_path):
    source = real_data / "naip_landcover_layout"
    assert landcover.convert_landcover(source, tmp_path) == 31
    for path in (source / "output").glob("*_m.png"):
        written = np.asarray(Image.open(tmp_path / "ann_dir" / path.name.replace("_m", "")))
        np.testing.assert_array_equal(written, np.asarray(Image.open(path)))
