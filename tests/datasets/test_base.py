"""BaseSegDataset: any folder in a config alone; the four data sets; what is missing is named."""

import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

from mmseg.config.parts import parts_of
from mmseg.datasets import (
    ADE20KDataset,
    CamVidDataset,
    LandCoverAIDataset,
    PascalVOCDataset,
    build_dataset,
)
from mmseg.datasets.base import names_in
from mmseg.errors import UserError
from mmseg.registry import DATASETS

DATA_SETS = {ADE20KDataset: 150, PascalVOCDataset: 21, LandCoverAIDataset: 5, CamVidDataset: 11}
every_data_set = pytest.mark.parametrize("cls", DATA_SETS, ids=lambda c: c.__name__)


def stems(dataset, key="img_path"):
    return [dataset.get_data_info(i)[key].rsplit("/")[-1] for i in range(len(dataset))]


@every_data_set
def test_data_set_has_its_number_of_classes(cls):
    assert len(cls.METAINFO["classes"]) == DATA_SETS[cls]


@every_data_set
def test_class_names_are_unique(cls):
    assert len(set(cls.METAINFO["classes"])) == DATA_SETS[cls]


@every_data_set
def test_every_class_has_a_colour_of_its_own(cls):
    palette = [tuple(colour) for colour in cls.METAINFO["palette"]]
    assert len(palette) == DATA_SETS[cls]
    # The field draws road and skyscraper of ADE20K alike.
    assert len(set(palette)) == DATA_SETS[cls] - (cls is ADE20KDataset)
    assert {len(colour) for colour in palette} == {3}
    assert all(0 <= value <= 255 for colour in palette for value in colour)


@every_data_set
def test_only_ade_reduces_the_zero_label(cls):
    assert cls.reduce_zero_label == (cls is ADE20KDataset)


def test_voc_palette_is_that_of_the_development_kit():
    def colour(index):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        return tuple(channels)

    assert PascalVOCDataset.METAINFO["palette"] == [colour(i) for i in range(21)]


def test_ade_classes_are_in_the_official_order():
    classes = ADE20KDataset.METAINFO["classes"]
    assert [classes[i] for i in (0, 12, 20, 149)] == ["wall", "person", "car", "flag"]


def test_landcover_classes_are_in_the_official_order():
    classes = ("background", "building", "woodland", "water", "road")
    assert LandCoverAIDataset.METAINFO["classes"] == classes


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


def test_a_link_back_to_a_folder_around_it_adds_no_image(folder_config, image_folder):
    (image_folder / "elsewhere/sub").mkdir(parents=True)
    (image_folder / "img_dir/.hidden.jpg").touch()
    (image_folder / "img_dir/.ipynb_checkpoints").mkdir()
    (image_folder / "img_dir/.ipynb_checkpoints/a-checkpoint.jpg").touch()
    (image_folder / "elsewhere/sub/e.jpg").touch()
    (image_folder / "img_dir/linked").symlink_to(image_folder / "elsewhere")
    (image_folder / "img_dir/again").symlink_to(image_folder / "img_dir")
    names = ["a", "b", "c", "d", "linked/sub/e"]
    assert names_in(image_folder / "img_dir", ".jpg") == names


def test_a_folder_that_nothing_reads_is_refused(folder_config):
    prefix = {"img_path": "img_dir", "ann_path": "ann_dir"}
    with pytest.raises(UserError, match="nothing reads 'ann_path'; it has img_path and seg_map"):
        build_dataset({**folder_config, "data_prefix": prefix})


def test_folder_becomes_a_data_set_in_a_config_alone(folder_config):
    dataset = build_dataset(folder_config)
    assert stems(dataset) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert stems(dataset, "seg_map_path") == ["a.png", "b.png", "c.png", "d.png"]
    assert dataset.metainfo["classes"] == ("field", "wood", "water")
    assert dataset.metainfo["palette"][1] == (0, 100, 0)


def test_sample_carries_what_its_mask_needs(folder_config):
    info = build_dataset({**folder_config, "reduce_zero_label": True}).get_data_info(0)
    assert info["num_classes"] == 3
    assert info["reduce_zero_label"] is True


def test_argument_decides_on_reduce_zero_label(folder_config):
    for given in (True, False):
        dataset = build_dataset({**folder_config, "reduce_zero_label": given})
        assert dataset.metainfo["reduce_zero_label"] is given


def test_masks_are_read_with_the_zero_label_reduced(folder_config):
    plain = build_dataset(folder_config).get_seg_map(1)
    reduced = build_dataset({**folder_config, "reduce_zero_label": True}).get_seg_map(1)
    assert sorted(np.unique(plain)) == [0, 1, 2]
    np.testing.assert_array_equal(reduced, np.array([255, 0, 1], np.uint8)[plain])


def test_list_chooses_the_images_and_their_order(folder_config, image_folder):
    (image_folder / "train.txt").write_text("c\na\n\n")
    dataset = build_dataset({**folder_config, "ann_file": "train.txt"})
    assert stems(dataset) == ["c.jpg", "a.jpg"]


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


def test_data_set_without_masks_lists_images_only(folder_config):
    dataset = build_dataset({**folder_config, "data_prefix": {"img_path": "img_dir"}})
    assert len(dataset) == 4
    assert "seg_map_path" not in dataset.get_data_info(0)


def test_missing_data_root_names_what_was_looked_for_and_the_converter(tmp_path):
    config = {
        "type": "LandCoverAIDataset",
        "data_root": str(tmp_path / "nowhere"),
        "data_prefix": {"img_path": "img_dir", "seg_map_path": "ann_dir"},
    }
    with pytest.raises(UserError, match=r"nowhere/img_dir.*tools/convert_datasets/landcover\.py"):
        build_dataset(config)


def test_missing_mask_folder_is_named(folder_config, image_folder):
    shutil.rmtree(image_folder / "ann_dir")
    with pytest.raises(UserError, match=r"ann_dir \(seg_map_path\) is not there"):
        build_dataset(folder_config)


def test_missing_list_is_named(folder_config):
    with pytest.raises(UserError, match=r"the list .*val\.txt \(ann_file\) is not there"):
        build_dataset({**folder_config, "ann_file": "val.txt"})


def test_missing_voc_list_names_its_converter(image_folder):
    config = {
        "type": "PascalVOCDataset",
        "data_root": str(image_folder),
        "ann_file": "trainaug.txt",
        "data_prefix": {"img_path": "img_dir", "seg_map_path": "ann_dir"},
    }
    with pytest.raises(UserError, match=r"tools/convert_datasets/voc_aug\.py"):
        build_dataset(config)


def test_list_saved_as_utf16_is_refused_by_name(folder_config, image_folder):
    (image_folder / "train.txt").write_text("a\nb\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"train\.txt: not a text in UTF-8"):
        build_dataset({**folder_config, "ann_file": "train.txt"})


def test_list_with_a_byte_order_mark_is_read(folder_config, image_folder):
    (image_folder / "train.txt").write_text("b\na\n", encoding="utf-8-sig")
    assert stems(build_dataset({**folder_config, "ann_file": "train.txt"})) == ["b.jpg", "a.jpg"]


def test_empty_list_is_refused(folder_config, image_folder):
    (image_folder / "train.txt").write_text("\n \n")
    with pytest.raises(UserError, match=r"train\.txt: the list is empty"):
        build_dataset({**folder_config, "ann_file": "train.txt"})


def test_folder_without_an_image_of_the_suffix_names_the_suffix(folder_config):
    with pytest.raises(UserError, match=r"no image ends in '\.tif'"):
        build_dataset({**folder_config, "img_suffix": ".tif"})


def test_listed_images_without_a_file_are_counted_and_named(folder_config, image_folder):
    (image_folder / "train.txt").write_text("a\nx\nb\ny\n")
    with pytest.raises(UserError, match=r"img_dir: 2 of 4 images are not there: x\.jpg, y\.jpg;"):
        build_dataset({**folder_config, "ann_file": "train.txt"})


def test_images_without_a_mask_are_counted_and_named(folder_config, image_folder):
    (image_folder / "ann_dir/c.png").unlink()
    with pytest.raises(UserError, match=r"ann_dir: 1 of 4 masks are not there: c\.png;"):
        build_dataset(folder_config)


def test_config_without_classes_is_refused(folder_config):
    del folder_config["metainfo"]["classes"]
    with pytest.raises(UserError, match="lacks 'classes'"):
        build_dataset(folder_config)


def test_palette_of_another_length_is_refused(folder_config):
    folder_config["metainfo"]["palette"].pop()
    with pytest.raises(UserError, match="3 classes and 2 colours"):
        build_dataset(folder_config)


def test_pipeline_uses_our_transforms_outside_of_a_runner(folder_config, image_folder, monkeypatch):
    monkeypatch.setattr(DefaultScope, "_instance_dict", OrderedDict())
    # mmcv has a LoadAnnotations too, which takes 3 as it is.
    Image.fromarray(np.full((48, 64), 3, np.uint8)).save(image_folder / "ann_dir/a.png")
    steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    dataset = build_dataset({**folder_config, "pipeline": steps})
    with pytest.raises(UserError, match="ids 3 outside"):
        dataset[0]


def test_other_classes_for_a_known_data_set_are_refused():
    names = {"classes": ("person", "car"), "palette": [(0, 0, 0), (1, 1, 1)]}
    with pytest.raises(UserError, match="names other classes"):
        build_dataset({"type": "PascalVOCDataset", "data_prefix": {}, "metainfo": names})


def test_more_classes_than_a_mask_can_tell_are_refused(folder_config):
    many = [str(i) for i in range(256)]
    meta = {"classes": many, "palette": [(i, 0, 0) for i in range(256)]}
    with pytest.raises(UserError, match="256 classes; masks of 8 bits hold 255 at most"):
        DATASETS.build({**folder_config, "metainfo": meta})
    meta = {key: values[:255] for key, values in meta.items()}
    assert len(DATASETS.build({**folder_config, "metainfo": meta}).metainfo["classes"]) == 255


def test_a_pipeline_that_reads_masks_of_a_data_set_without_is_refused(folder_config):
    folder_config["data_prefix"].pop("seg_map_path")
    steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    dataset = DATASETS.build({**folder_config, "pipeline": steps})
    with pytest.raises(UserError, match=r"a\.jpg: the data set has no masks; .*seg_map_path"):
        dataset[0]


@pytest.mark.parametrize("subset", [{"fraction": 0.5}, {"fraction": 0.5, "sed": 1}])
def test_a_subset_without_its_seed_is_refused(folder_config, subset):
    with pytest.raises(UserError, match=r"subset=.*: give dict\(fraction=..., seed=...\)"):
        DATASETS.build({**folder_config, "subset": subset})


def test_skipping_bad_samples_lists_no_file_of_a_lazy_data_set(folder_config, image_folder):
    (image_folder / "ann_dir/a.png").unlink()
    lazy = DATASETS.build({**folder_config, "on_bad_sample": "skip", "lazy_init": True})
    assert lazy.bad_samples is None
    with pytest.raises(UserError, match="1 of 4 masks are not there"):
        lazy.full_init()


def test_what_the_masks_of_a_known_data_set_need_cannot_be_contradicted():
    with pytest.raises(UserError, match="ADE20KDataset: reduce_zero_label=False, but its masks"):
        ADE20KDataset(data_prefix={"img_path": "x"}, reduce_zero_label=False, lazy_init=True)
    ADE20KDataset(data_prefix={"img_path": "x"}, reduce_zero_label=True, lazy_init=True)


@pytest.mark.parametrize("fraction", [0, -1, 10])
def test_a_subset_that_is_no_share_is_refused(folder_config, fraction):
    with pytest.raises(UserError, match=r"subset\.fraction=.*: give a share, from 0 to 1"):
        DATASETS.build({**folder_config, "subset": {"fraction": fraction, "seed": 0}})


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


def test_parts_of_joined_and_repeated_data_sets(folder_config):
    repeated = {"type": "RepeatDataset", "times": 2, "dataset": folder_config}
    joined = {"type": "ConcatDataset", "datasets": [repeated, folder_config]}
    assert parts_of(folder_config) == [folder_config]
    assert parts_of(joined) == [folder_config, folder_config]
    assert len(build_dataset(joined)) == 12
