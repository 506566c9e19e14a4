"""BaseSegDataset: any folder becomes a data set in a config; missing files are named."""

import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from mmseg.config.parts import parts_of
from mmseg.datasets import build_dataset
from mmseg.datasets.check import check_sample
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.errors import UserError
from mmseg.registry import DATASETS, TRANSFORMS


def stems(dataset, key="img_path"):
    return [dataset.get_data_info(i)[key].rsplit("/")[-1] for i in range(len(dataset))]


def test_masks_of_one_class_and_255_are_asked_about_before_a_training(
    folder_config, image_folder, log
):
    build_dataset(folder_config)
    assert "255" not in log.read()
    for path in (image_folder / "ann_dir").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.minimum(ids, 1)).save(path)  # two of three classes
    build_dataset(folder_config)
    assert "255" not in log.read()
    for path in (image_folder / "ann_dir").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.where(ids == 1, 255, 0).astype(np.uint8)).save(path)
    build_dataset({**folder_config, "test_mode": True})
    assert "255" not in log.read()
    build_dataset(folder_config)
    assert "a few masks hold no other class than field; if 255, which is ignored" in log.read()


def test_images_whose_suffix_is_spelt_otherwise_are_told(folder_config, image_folder, warnings):
    build_dataset(folder_config)
    assert not warnings
    (image_folder / "img_dir/b.jpg").rename(image_folder / "img_dir/b.JPG")
    (image_folder / "img_dir/c.jpg").rename(image_folder / "img_dir/c.jpeg")
    assert len(build_dataset(folder_config)) == 2
    assert "b.JPG: it and 1 more images are left out" in warnings[0]


def test_names_in_another_unicode_form_are_told(folder_config, image_folder):
    (image_folder / "ann_dir/a.png").rename(image_folder / "ann_dir/u\u0308.png")
    (image_folder / "img_dir/a.jpg").rename(image_folder / "img_dir/\u00fc.jpg")
    with pytest.raises(UserError, match=r"1 of 4 masks .*ü\.png in this Unicode form \(convmv"):
        build_dataset(folder_config)


FEW = {"classes": ("a", "b"), "palette": [(0, 0, 0)]}
MANY = {"classes": [str(i) for i in range(256)], "palette": [(i, 0, 0) for i in range(256)]}
SUBSET = r"subset=.*: give dict\(fraction=..., seed=...\[, rest=True\]\), a share up to 1"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data_prefix", {"img_path": "a", "ann_path": "b"}, "give img_path and seg_map_path, a"),
        ("data_prefix", {"img_path": ["a", "b"]}, r"\['a', 'b'\]}: give img_path .* a folder"),
        ("ann_file", "val.txt", r"val\.txt: the list \(ann_file\) is not there"),
        ("img_suffix", ".tif", r"no image ends in '\.tif'"),
        ("metainfo", {"palette": [(0, 0, 0)]}, "lacks 'classes'"),
        ("metainfo", FEW, "2 classes and 1 colours"),
        ("metainfo", MANY, "metainfo.classes=.*: give a tuple or list of texts, 255 at most"),
        *(("subset", value, SUBSET) for value in (0.5, {"fraction": 0.5}, {"seed": 0})),
        ("subset", {"fraction": 0.5, "sed": 1}, SUBSET),
        *(("subset", {"fraction": share, "seed": 0}, SUBSET) for share in (0, -1, 10)),
        ("on_bad_sample", "ignore", "on_bad_sample='ignore': give 'raise' or 'skip'"),
    ],
)
def test_a_config_that_cannot_be_right_is_refused(folder_config, key, value, message):
    with pytest.raises(UserError, match=message):
        build_dataset({**folder_config, key: value})


def test_folder_becomes_a_data_set_in_a_config_alone(folder_config):
    dataset = build_dataset(folder_config)
    assert stems(dataset) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert stems(dataset, "seg_map_path") == ["a.png", "b.png", "c.png", "d.png"]
    assert dataset.metainfo["classes"] == ("field", "wood", "water")
    assert dataset.metainfo["palette"][1] == (0, 100, 0)


def test_masks_are_read_with_the_zero_label_reduced(folder_config):
    plain = build_dataset({**folder_config, "reduce_zero_label": False})
    reduced = build_dataset({**folder_config, "reduce_zero_label": True})
    assert sorted(np.unique(plain.get_seg_map(1))) == [0, 1, 2]
    expected = np.array([255, 0, 1], np.uint8)[plain.get_seg_map(1)]
    np.testing.assert_array_equal(reduced.get_seg_map(1), expected)
    for dataset, reduces in ((plain, False), (reduced, True)):
        assert dataset.metainfo["reduce_zero_label"] is reduces
        assert dataset.get_data_info(0)["reduce_zero_label"] is reduces


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_list_chooses_the_images_and_their_order(folder_config, image_folder, encoding):
    (image_folder / "train.txt").write_text("c\na\n\n", encoding=encoding)
    dataset = build_dataset({**folder_config, "ann_file": "train.txt"})
    assert stems(dataset) == ["c.jpg", "a.jpg"]


def test_masks_that_are_missing_are_counted_or_their_folder_is_named(folder_config, image_folder):
    (image_folder / "ann_dir/c.png").unlink()
    with pytest.raises(UserError, match=r"1 of 4 masks are not there, as ann_dir/c\.png;"):
        build_dataset(folder_config)
    shutil.rmtree(image_folder / "ann_dir")
    with pytest.raises(UserError, match=r"4 of 4 masks are not there, as ann_dir/a\.png;"):
        build_dataset(folder_config)


def test_a_data_set_without_masks_lists_images_and_refuses_to_read_masks(folder_config):
    folder_config["data_prefix"].pop("seg_map_path")
    steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    dataset = DATASETS.build({**folder_config, "pipeline": steps})
    assert len(dataset) == 4
    assert "seg_map_path" not in dataset.get_data_info(0)
    with pytest.raises(UserError, match=r"a\.jpg: has no mask; give data_prefix\.seg_map_path"):
        dataset[0]


def test_images_in_folders_of_folders_find_their_masks(folder_config, image_folder):
    for folder, suffix in (("img_dir", "jpg"), ("ann_dir", "png")):
        (image_folder / folder / "town").mkdir()
        shutil.move(image_folder / folder / f"a.{suffix}", image_folder / folder / "town")
    dataset = build_dataset(folder_config)
    assert len(dataset) == 4
    info = dataset.get_data_info(3)
    assert info["img_path"].endswith("img_dir/town/a.jpg")
    assert info["seg_map_path"].endswith("ann_dir/town/a.png")


def test_own_suffixes_are_taken(folder_config, image_folder):
    for name in ("a", "b"):
        (image_folder / f"img_dir/{name}.jpg").rename(image_folder / f"img_dir/{name}_rgb.jpeg")
        (image_folder / f"ann_dir/{name}.png").rename(image_folder / f"ann_dir/{name}_ids.png")
    suffixes = {"img_suffix": "_rgb.jpeg", "seg_map_suffix": "_ids.png"}
    dataset = build_dataset({**folder_config, **suffixes})
    assert stems(dataset, "seg_map_path") == ["a_ids.png", "b_ids.png"]


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("a\nb\n", "utf-16", r"train\.txt: not a text in UTF-8"),
        ("\n \n", "utf-8", r"train\.txt: the list is empty"),
        ("a\nx\nb\ny\n", "utf-8", r"2 of 4 images are not there, as img_dir/x\.jpg;"),
    ],
)
def test_a_wrong_list_is_named(folder_config, image_folder, text, encoding, message):
    (image_folder / "train.txt").write_text(text, encoding=encoding)
    with pytest.raises(UserError, match=message):
        build_dataset({**folder_config, "ann_file": "train.txt"})


def test_pipeline_uses_our_transforms_outside_of_a_runner(folder_config, image_folder, monkeypatch):
    monkeypatch.setattr(DefaultScope, "_instance_dict", OrderedDict())
    # mmcv has a LoadAnnotations too, which takes 3 as it is.
    Image.fromarray(np.full((48, 64), 3, np.uint8)).save(image_folder / "ann_dir/a.png")
    steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    dataset = build_dataset({**folder_config, "pipeline": steps})
    with pytest.raises(UserError, match="ids 3 outside"):
        dataset[0]


def test_skipping_bad_samples_lists_no_file_of_a_lazy_data_set(folder_config, image_folder):
    (image_folder / "ann_dir/a.png").unlink()
    lazy = DATASETS.build({**folder_config, "on_bad_sample": "skip", "lazy_init": True})
    assert lazy.bad_samples is None
    with pytest.raises(UserError, match="1 of 4 masks are not there"):
        lazy.full_init()


def test_samples_of_rare_classes_can_come_more_often(folder_config, image_folder):
    for name in ("b", "c", "d"):  # class 2 is in one of four images
        path = image_folder / f"ann_dir/{name}.png"
        Image.fromarray(np.asarray(Image.open(path)) % 2).save(path)
    assert DATASETS.build(folder_config).get_cat_ids(0) == [0, 1, 2]
    assert DATASETS.build(folder_config).get_cat_ids(1) == [0, 1]
    balanced = {"type": "ClassBalancedDataset", "dataset": folder_config, "oversample_thr": 1.0}
    paths = [
        Path(info["img_path"]).name for info in map(build_dataset(balanced).get_data_info, range(5))
    ]
    assert paths == ["a.jpg", "a.jpg", "b.jpg", "c.jpg", "d.jpg"]


@TRANSFORMS.register_module()
class LoadOneHigher(LoadAnnotations):
    """Stands for a loader of one's own, of masks that mean something else."""

    def _load_seg_map(self, results):
        super()._load_seg_map(results)
        results["gt_seg_map"] = (results["gt_seg_map"] + 1) % 3


def test_labels_are_counted_as_the_pipeline_loads_them(folder_config):
    plain = build_dataset(folder_config).get_seg_map(0)
    steps = [{"type": "LoadImageFromFile"}, {"type": "LoadOneHigher"}, {"type": "PackSegInputs"}]
    dataset = build_dataset({**folder_config, "pipeline": steps})
    expected = (plain + 1) % 3
    np.testing.assert_array_equal(dataset.get_seg_map(0), expected)
    np.testing.assert_array_equal(dataset[0]["data_samples"].gt_sem_seg.data[0], expected)
    counts = np.bincount(expected.ravel())
    np.testing.assert_array_equal(check_sample(dataset, "a").class_pixels, counts)


def test_parts_of_joined_and_repeated_data_sets(folder_config):
    repeated = {"type": "RepeatDataset", "times": 2, "dataset": folder_config}
    joined = {"type": "ConcatDataset", "datasets": [repeated, folder_config]}
    assert parts_of(folder_config) == [folder_config]
    assert parts_of(joined) == [folder_config, folder_config]
    assert len(build_dataset(joined)) == 12
