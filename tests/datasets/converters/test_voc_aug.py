"""VOC and SBD in one folder, from generated masks."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmseg.datasets.converters import relabel
from mmseg.datasets.converters.relabel import convert_voc_aug
from mmseg.errors import UserError

LISTS = {
    "voc/train": ["2007_1", "2007_3"],
    "voc/val": ["2007_2", "2008_9"],
    "sbd/train": ["2008_5", "2007_3", "2008_9"],
    "sbd/val": ["2007_2", "2008_4"],
}
TRAINAUG = ["2007_1", "2007_3", "2008_4", "2008_5"]


def draw(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 21, (12, 17), np.uint8)


def write_mat(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = np.zeros((1, 1), [("Segmentation", object)])
    fields[0, 0]["Segmentation"] = mask
    savemat(path, {"GTcls": fields}, do_compression=True)


@pytest.fixture
def archives(tmp_path) -> tuple[Path, Path]:
    """A VOCdevkit whose official masks have a border of 255, and an SBD without one."""
    voc, sbd = tmp_path / "VOCdevkit" / "VOC2012", tmp_path / "VOCaug" / "dataset"
    (voc / "SegmentationClass").mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    for seed, name in enumerate(LISTS["sbd/train"] + LISTS["sbd/val"]):
        write_mat(sbd / "cls" / f"{name}.mat", draw(seed))
    for seed, name in enumerate(LISTS["voc/train"] + LISTS["voc/val"]):
        mask = draw(100 + seed)
        mask[0] = 255
        image = Image.fromarray(mask)
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        image.save(voc / "SegmentationClass" / f"{name}.png")
    for key, ids in LISTS.items():
        folder = voc / "ImageSets" / "Segmentation" if key.startswith("voc") else sbd
        (folder / f"{Path(key).name}.txt").write_text("\n".join(ids) + "\n")
    return voc.parent, sbd.parent


def read_folder(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_trainaug_has_masks_of_voc_with_border_and_of_sbd_for_the_rest(archives):
    assert convert_voc_aug(*archives, allow_partial=True) == len(TRAINAUG)
    voc = archives[0] / "VOC2012"
    assert (voc / "ImageSets/Segmentation/trainaug.txt").read_text().split() == TRAINAUG
    assert sorted(p.stem for p in (voc / "SegmentationClassAug").iterdir()) == TRAINAUG
    for name in TRAINAUG:
        written = Image.open(voc / f"SegmentationClassAug/{name}.png")
        assert written.mode == "L"
        if name in LISTS["voc/train"]:
            expected = draw(100 + LISTS["voc/train"].index(name))
            expected[0] = 255
        else:
            expected = draw((LISTS["sbd/train"] + LISTS["sbd/val"]).index(name))
        np.testing.assert_array_equal(np.asarray(written), expected)


def test_an_interrupted_conversion_ends_with_the_same_files(archives, monkeypatch):
    convert_voc_aug(*archives, allow_partial=True)
    whole = read_folder(archives[0])
    voc = archives[0] / "VOC2012"
    shutil.rmtree(voc / "SegmentationClassAug")
    (voc / "ImageSets/Segmentation/trainaug.txt").unlink()

    def stop(path: Path, pick: object) -> np.ndarray:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(relabel.common, "read_mat", stop)
        with pytest.raises(KeyboardInterrupt):
            convert_voc_aug(*archives, allow_partial=True)
    assert len(list((voc / "SegmentationClassAug").iterdir())) == 2
    assert not (voc / "ImageSets/Segmentation/trainaug.txt").exists()
    convert_voc_aug(*archives, workers=2, allow_partial=True)
    assert read_folder(archives[0]) == whole


def test_lists_that_do_not_give_10582_ids_are_refused(archives):
    with pytest.raises(UserError, match=r"4 training ids, not 10582; .*--allow-partial"):
        convert_voc_aug(*archives)
    assert not (archives[0] / "VOC2012" / "SegmentationClassAug").exists()


MAT = "dataset/cls/2008_4.mat"
SPOILERS = {
    r"2008_4\.mat: .*No such file": lambda voc, sbd: (sbd / MAT).unlink(),
    r"2008_4\.mat: the mask has ids 33 outside": lambda voc, sbd: write_mat(
        sbd / MAT, np.full((4, 4), 33, np.uint8)
    ),
    r"2008_4\.mat: the mask is float64 \(4, 4\)": lambda voc, sbd: write_mat(
        sbd / MAT, np.zeros((4, 4))
    ),
    r"2008_4\.mat: the mask is uint8 \(4, 4, 3\)": lambda voc, sbd: write_mat(
        sbd / MAT, np.zeros((4, 4, 3), np.uint8)
    ),
    # Nothing counts up to this id.
    r"2007_1\.png: the mask has ids 2147483647 outside": lambda voc, sbd: Image.fromarray(
        np.full((4, 4), 2**31 - 1, np.int32)
    ).save(voc / "VOC2012/SegmentationClass/2007_1.png", "TIFF"),
    r"dataset/val\.txt: no such list": lambda voc, sbd: (sbd / "dataset/val.txt").unlink(),
}


@pytest.mark.parametrize("message", SPOILERS)
def test_a_file_that_is_missing_or_wrong_is_named_and_no_list_written(archives, message):
    SPOILERS[message](*archives)
    with pytest.raises(UserError, match=message):
        convert_voc_aug(*archives, allow_partial=True)
    assert not (archives[0] / "VOC2012/ImageSets/Segmentation/trainaug.txt").exists()


def test_the_full_lists_of_voc_and_sbd_give_10582_ids_in_order(real_data, archives, monkeypatch):
    full = real_data / "voc2012_sample" / "lists_full"
    lists = archives[0] / "VOC2012/ImageSets/Segmentation"
    for name in ("train", "val"):
        shutil.copyfile(full / f"{name}.txt", lists / f"{name}.txt")
        # SBD splits its images in another way; val images of VOC stand in both of its lists here.
        ids = {i for f in ("train_aug", "val") for i in (full / f"{f}.txt").read_text().split()}
        (archives[1] / f"dataset/{name}.txt").write_text("\n".join(sorted(ids)))
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    monkeypatch.setattr(relabel.common, "map_with_progress", lambda *args: [])
    assert convert_voc_aug(*archives) == 10_582
    expected = sorted((full / "train_aug.txt").read_text().split())
    assert (lists / "trainaug.txt").read_text().split() == expected
