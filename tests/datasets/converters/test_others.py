"""Cityscapes, COCO-Stuff, iSAID, LoveDA and Pascal Context, from tiny archives like theirs."""

import errno
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_tool import run_tool
from scipy.io import savemat

from mmseg.datasets import build_dataset, iSAIDDataset
from mmseg.datasets.converters.relabel import (
    COCO_STUFF_CLASSES,
    CONTEXT_LABELS,
    convert_cityscapes,
    convert_coco_stuff,
    convert_pascal_context,
)
from mmseg.datasets.converters.tiled import LAYOUTS, convert_tiled, starts
from mmseg.errors import UserError


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def read(path):
    return np.asarray(Image.open(path))


def data_set(kind, root, img_path, seg_map_path, **more):
    prefix = {"img_path": img_path, "seg_map_path": seg_map_path}
    return build_dataset(
        {"type": kind, "data_root": str(root), "data_prefix": prefix, "pipeline": [], **more}
    )


def test_cityscapes_ids_become_train_ids(tmp_path):
    write(tmp_path / "gtFine/val/bonn/bonn_1_gtFine_labelIds.png", [[0, 7, 8], [33, 26, 29]])
    write(tmp_path / "leftImg8bit/val/bonn/bonn_1_leftImg8bit.png", np.zeros((2, 3, 3)))
    assert convert_cityscapes(tmp_path) == 1
    dataset = data_set("CityscapesDataset", tmp_path, "leftImg8bit/val", "gtFine/val")
    assert dataset.get_seg_map(0).tolist() == [[255, 0, 1], [18, 13, 255]]
    assert len(dataset.metainfo["classes"]) == 19


def test_the_files_that_macos_adds_to_a_folder_are_left_out(tmp_path):
    write(tmp_path / "gtFine/val/bonn/bonn_1_gtFine_labelIds.png", [[0, 7]])
    (tmp_path / "gtFine/val/bonn/._bonn_1_gtFine_labelIds.png").write_bytes(b"Mac OS X")
    assert convert_cityscapes(tmp_path) == 1


def test_coco_stuff_ids_close_the_gaps(tmp_path):
    write(tmp_path / "maps/val2017/1.png", [[0, 10, 12, 181, 255]])
    with pytest.raises(UserError, match=r"no masks <id>\.png in train2017/ and in val2017/"):
        convert_coco_stuff(tmp_path / "maps", tmp_path)
    write(tmp_path / "maps/train2017/2.png", [[0]])
    write(tmp_path / "images/val2017/1.jpg", np.zeros((1, 5, 3)))
    assert convert_coco_stuff(tmp_path / "maps", tmp_path) == 2
    dataset = data_set("COCOStuffDataset", tmp_path, "images/val2017", "annotations/val2017")
    assert dataset.get_seg_map(0).tolist() == [[0, 10, 11, 170, 255]]
    assert len(COCO_STUFF_CLASSES) == len(dataset.metainfo["classes"])


@pytest.fixture
def isaid(tmp_path):
    rng = np.random.default_rng(0)
    palette = np.array(iSAIDDataset.METAINFO["palette"])
    for split, size in (("train", (70, 100)), ("val", (20, 100))):
        ids = rng.integers(0, 16, size)
        write(tmp_path / f"{split}/images/P1.png", rng.integers(0, 256, (*size, 3)))
        mask = f"{split}/Semantic_masks/images/P1_instance_color_RGB.png"
        write(tmp_path / mask, palette[ids])
    return tmp_path


def test_isaid_tiles_cover_the_image_and_overlap(isaid, tmp_path):
    assert list(starts(100, 32, 20, False)) == [0, 20, 40, 60, 68]
    out = tmp_path / "out"
    # 70 x 100: three rows of five; 20 x 100, padded to 32: one row of five.
    assert convert_tiled("isaid", isaid, out, tile=32, overlap=12) == 20
    dataset = data_set("iSAIDDataset", out, "img_dir/train", "ann_dir/train")
    assert len(dataset) == 15
    image = read(isaid / "train/images/P1.png")
    mask = isaid / "train/Semantic_masks/images/P1_instance_color_RGB.png"
    palette = iSAIDDataset.METAINFO["palette"]
    ids = (read(mask)[:, :, None] == np.array(palette)).all(-1).argmax(-1)
    for index in range(len(dataset)):
        path = dataset.get_data_info(index)["img_path"]
        top, bottom, left, right = map(int, path.removesuffix(".png").split("_")[-4:])
        assert np.array_equal(read(path), image[top:bottom, left:right])
        assert np.array_equal(dataset.get_seg_map(index), ids[top:bottom, left:right])


def test_isaid_pads_small_images_with_ignored_labels(isaid, tmp_path):
    out = tmp_path / "out"
    convert_tiled("isaid", isaid, out, tile=32, overlap=12)
    dataset = data_set("iSAIDDataset", out, "img_dir/val", "ann_dir/val")
    labels = dataset.get_seg_map(0)
    assert labels.shape == (32, 32)
    assert (labels[20:] == 255).all() and (labels[:20] < 16).all()


def test_a_colour_that_is_no_class_is_named(isaid, tmp_path):
    mask = isaid / "val/Semantic_masks/images/P1_instance_color_RGB.png"
    write(mask, np.full((20, 100, 3), 9))
    with pytest.raises(UserError, match="#090909 is no class"):
        convert_tiled("isaid", isaid, tmp_path / "out", tile=32, overlap=12)


def test_loveda_archives_are_sorted(tmp_path):
    for split, number in (("Train", 1), ("Val", 2)):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for place in ("Rural", "Urban"):
                for kind, shape in (("images_png", (2, 2, 3)), ("masks_png", (2, 2))):
                    write(tmp_path / "x.png", np.full(shape, 7))
                    name = f"{split}/{place}/{kind}/{number}{place[0]}.png"
                    archive.write(tmp_path / "x.png", name)
    assert convert_tiled("loveda", tmp_path, tmp_path / "out") == 4
    dataset = data_set("LoveDADataset", tmp_path / "out", "img_dir/val", "ann_dir/val")
    assert len(dataset) == 2
    assert (dataset.get_seg_map(0) == 6).all()  # 0 is no data, so the seventh class is 6
    assert not (tmp_path / "out/.unpacked").exists()


def test_a_split_that_is_missing_is_named(tmp_path, isaid):
    for kind in ("images_png", "masks_png"):
        write(tmp_path / "loveda/Train/Rural" / kind / "1.png", [[0]])
    with pytest.raises(UserError, match=r"images of Train only; get the other split too"):
        convert_tiled("loveda", tmp_path / "loveda", tmp_path / "out")
    shutil.rmtree(isaid / "val")
    with pytest.raises(UserError, match="images of train only; get the other split too"):
        convert_tiled("isaid", isaid, tmp_path / "out", tile=32, overlap=12)


@pytest.mark.parametrize("name", ["loveda", "potsdam", "vaihingen"])
def test_an_archive_without_its_partner_is_named_before_it_is_unpacked(tmp_path, name):
    for present in LAYOUTS[name].archives:
        folder = tmp_path / present.removesuffix(".zip")
        folder.mkdir()
        (folder / present).write_bytes(b"is not looked at")
        with pytest.raises(UserError, match=rf"only {present} is there; put .*, .* there"):
            convert_tiled(name, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_loveda_folders_are_copied_whole_or_not_at_all(tmp_path, monkeypatch):
    for split in ("Train", "Val"):
        for kind, shape in (("images_png", (2, 2, 3)), ("masks_png", (2, 2))):
            write(tmp_path / split / "Rural" / kind / "1.png", np.full(shape, 7))

    def fill_disk(path, data):
        path.open("wb").write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill_disk)
        with pytest.raises(UserError, match=r"1\.png: cannot be written \(No space left"):
            convert_tiled("loveda", tmp_path, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert convert_tiled("loveda", tmp_path, tmp_path / "out") == 2
    assert (read(tmp_path / "out/ann_dir/val/1.png") == 7).all()


def test_pascal_context_keeps_59_classes_and_the_lists(tmp_path):
    voc, labels = tmp_path / "VOC2010", tmp_path / "labels"
    labels.mkdir()
    for split, name in (("train", "a"), ("val", "b")):
        (voc / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (voc / "ImageSets/Main" / f"{split}.txt").write_text(f"{name}\n")
        write(voc / f"JPEGImages/{name}.jpg", np.zeros((1, 4, 3)))
        savemat(labels / f"{name}.mat", {"LabelMap": np.array([[2, 458, 1, 284]], np.uint16)})
    assert convert_pascal_context(tmp_path, labels) == 2
    lists = {"ann_file": "ImageSets/SegmentationContext/val.txt"}
    folders = ("JPEGImages", "SegmentationClassContext")
    all_60 = data_set("PascalContextDataset", voc, *folders, **lists)
    only_59 = data_set("PascalContextDataset59", voc, *folders, **lists)
    assert all_60.get_seg_map(0).tolist() == [[1, 59, 0, 37]]
    assert only_59.get_seg_map(0).tolist() == [[0, 58, 255, 36]]
    assert all_60.metainfo["classes"][37] == only_59.metainfo["classes"][36] == "person"
    assert len(CONTEXT_LABELS) == 59
    savemat(labels / "b.mat", {"LabelMap": np.array([[2, 460]], np.uint16)})
    with pytest.raises(UserError, match=r"b\.mat: its labels are not 0 to 459; get it again"):
        convert_pascal_context(tmp_path, labels)


def test_the_command_line_ends_with_one_line_on_a_mistake(tmp_path):
    result = run_tool("convert_datasets/landcover.py", tmp_path / "no.zip")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "no.zip: no such archive" in result.stderr


def test_the_command_line_shows_the_progress_and_ends_with_the_folder_and_the_number(tmp_path):
    for name in ("train/bonn/bonn", "val/ulm/ulm"):
        write(tmp_path / f"gtFine/{name}_gtFine_labelIds.png", [[0, 7]])
    result = run_tool("convert_dataset.py", "cityscapes", tmp_path)
    assert result.returncode == 0
    assert "Converting" in result.stderr and "100%" in result.stderr
    last = (result.stdout + result.stderr).replace("\n", "")
    assert f"{tmp_path}: 2 masks are written" in last
