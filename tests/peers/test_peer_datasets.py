"""Data-set classes as they are written for MMSegmentation, and parts of the classes of a set."""

import os.path as osp

import numpy as np
import pytest
from mmengine import fileio
from PIL import Image

from mmseg.compat.openmmlab import adapt_component
from mmseg.datasets import BaseSegDataset, PascalVOCDataset, build_dataset
from mmseg.errors import UserError
from mmseg.peers.datasets import CustomDataset
from mmseg.registry import DATASETS

COLOURS = [(0, 90, 0), (0, 0, 200)]


@DATASETS.register_module()
class TwoOfThree(BaseSegDataset):
    """As the guide of 1.x writes a data set whose masks hold 0 for the border."""

    METAINFO = {"classes": ("wood", "water"), "palette": COLOURS}

    def __init__(
        self, img_suffix=".jpg", seg_map_suffix=".png", reduce_zero_label=True, **kwargs
    ) -> None:
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            reduce_zero_label=reduce_zero_label,
            **kwargs,
        )
        assert fileio.exists(self.data_prefix["img_path"], self.backend_args)
        assert self.file_client.exists(self.data_prefix["img_path"])

    def load_data_list(self):
        folder = self.data_prefix["img_path"]
        names = fileio.list_dir_or_file(folder, list_dir=False, backend_args=self.backend_args)
        return [
            {
                "img_path": osp.join(folder, name),
                "seg_map_path": osp.join(
                    self.data_prefix["seg_map_path"], name.replace(".jpg", ".png")
                ),
                "label_map": self.label_map,
                "reduce_zero_label": self.reduce_zero_label,
                "seg_fields": [],
            }
            for name in sorted(names)
        ]


@DATASETS.register_module()
class OldFields(CustomDataset):
    """As 0.x writes a data set."""

    CLASSES = ("field", "wood", "water")
    PALETTE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]

    def __init__(self, **kwargs):
        super().__init__(img_suffix=".jpg", seg_map_suffix=".png", **kwargs)
        assert self.file_client.exists(self.img_dir) and self.split is None


@DATASETS.register_module()
class OldList(OldFields):
    def load_annotations(self, img_dir, img_suffix, ann_dir, seg_map_suffix, split):
        return [{"filename": "c.jpg", "ann": {"seg_map": "c.png"}}]


STEPS = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}]


def raw(image_folder, name):
    return np.asarray(Image.open(image_folder / "ann_dir" / f"{name}.png"))


@pytest.mark.parametrize("module", [__name__, "mmseg.datasets.a_copied_file"])
def test_a_class_that_states_reduce_zero_label_in_its_constructor_is_read_so(
    folder_config, image_folder, monkeypatch, module
):
    monkeypatch.setattr(TwoOfThree, "__module__", module)
    config = {k: v for k, v in folder_config.items() if k not in ("metainfo", "type")}
    dataset = build_dataset({**config, "type": "TwoOfThree", "pipeline": STEPS})
    labels = dataset[1]["data_samples"].gt_sem_seg.data[0].numpy()
    expected = np.array([255, 0, 1], np.uint8)[raw(image_folder, "b")]
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("classes", "new_ids"), [(("water", "field"), [1, 255, 0]), (("wood",), [255, 0, 255])]
)
@pytest.mark.parametrize("kind", ["OldFields", "ThreeFields"])
def test_a_part_of_the_classes_is_relabelled(folder_config, image_folder, kind, classes, new_ids):
    @DATASETS.register_module(name="ThreeFields", force=True)
    class ThreeFields(BaseSegDataset):
        METAINFO = {"classes": OldFields.CLASSES, "palette": OldFields.PALETTE}

    config = {**folder_config, "type": kind, "metainfo": {"classes": classes}, "pipeline": STEPS}
    dataset = build_dataset(config)
    expected = np.array(new_ids, np.uint8)[raw(image_folder, "b")]
    labels = dataset[1]["data_samples"].gt_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(dataset.get_seg_map(1), expected)
    assert dataset.metainfo["classes"] == classes
    own = dict(zip(OldFields.CLASSES, OldFields.PALETTE, strict=True))
    assert dataset.metainfo["palette"] == [own[name] for name in classes]


def test_other_colours_of_a_part_of_the_classes_are_kept():
    info = {"classes": ("car", "person"), "palette": [(1, 1, 1), (2, 2, 2)]}
    dataset = PascalVOCDataset(metainfo=info, lazy_init=True)
    assert dataset.metainfo["palette"] == [(1, 1, 1), (2, 2, 2)]
    assert dataset.label_map[15] == 1 and dataset.label_map[7] == 0 and dataset.label_map[0] == 255


def test_a_palette_that_is_not_given_is_drawn_always_alike_and_distinguishable():
    info = {"classes": tuple(map(str, range(40)))}
    drawn = [BaseSegDataset(metainfo=info, lazy_init=True).metainfo["palette"] for _ in range(2)]
    assert drawn[0] == drawn[1]
    colours = np.array(drawn[0])
    distances = np.abs(colours[:, None] - colours[None]).max(-1)
    assert distances[~np.eye(40, dtype=bool)].min() >= 16


@pytest.mark.parametrize(
    "given",
    [
        {"data_prefix": {"img_path": "img_dir", "seg_map_path": "ann_dir"}},
        {"img_dir": "img_dir", "ann_dir": "ann_dir"},
    ],
)
def test_a_data_set_of_0_x_lists_and_reads_its_samples(image_folder, given):
    dataset = OldFields(data_root=str(image_folder), **given)
    assert [info["filename"] for info in dataset.img_infos] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert dataset.img_infos[1]["ann"]["seg_map"] == "b.png"
    assert dataset.img_dir == str(image_folder / "img_dir")
    for mask, name in zip(dataset.get_gt_seg_maps(), "abcd", strict=True):
        np.testing.assert_array_equal(mask, raw(image_folder, name))
    assert dataset.CLASSES == OldFields.CLASSES and dataset.PALETTE == OldFields.PALETTE


def test_load_annotations_of_a_subclass_decides(image_folder):
    dataset = OldList(data_root=str(image_folder), img_dir="img_dir", ann_dir="ann_dir")
    assert len(dataset) == 1
    np.testing.assert_array_equal(dataset.get_seg_map(0), raw(image_folder, "c"))


def test_arguments_of_0_x_give_the_same_samples_as_those_of_1_x(image_folder):
    old = [
        *STEPS[:2],
        {"type": "Normalize", "mean": [1, 2, 3], "std": [1, 1, 1], "to_rgb": True},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img", "gt_semantic_seg"]},
    ]
    folders = {"img_dir": "img_dir", "ann_dir": "ann_dir"}
    sample = OldFields(pipeline=old, data_root=str(image_folder), **folders)[2]
    np.testing.assert_array_equal(
        sample["data_samples"].gt_sem_seg.data[0].numpy(), raw(image_folder, "c")
    )


def test_a_constructor_of_0_x_and_the_step_of_its_config_may_both_state_reduce_zero_label(
    image_folder,
):
    class Zero(CustomDataset):
        CLASSES = ("wood", "water")

        def __init__(self, **kwargs):
            super().__init__(seg_map_suffix=".png", reduce_zero_label=True, **kwargs)

    DATASETS.register_module(name="Zero", module=Zero, force=True)
    folders = {"img_path": "img_dir", "seg_map_path": "ann_dir"}

    def built(value):
        steps = [STEPS[0], {**STEPS[1], "reduce_zero_label": value}, STEPS[2]]
        config = {"type": "Zero", "data_root": str(image_folder), "data_prefix": folders}
        return build_dataset(adapt_component({**config, "pipeline": steps}, "dataset"))

    labels = built(True)[1]["data_samples"].gt_sem_seg.data[0].numpy()
    expected = np.array([255, 0, 1], np.uint8)[raw(image_folder, "b")]
    np.testing.assert_array_equal(labels, expected)
    with pytest.raises(UserError, match="True in one place and False in another"):
        built(False)[1]


def test_another_ignore_index_is_refused():
    with pytest.raises(UserError, match=r"PascalVOCDataset\.ignore_index=0: give 255"):
        PascalVOCDataset(ignore_index=0, lazy_init=True)
