"""The known data sets: their classes, colours and masks, and where their files come from."""

import pytest

from mmseg import datasets
from mmseg.datasets import (
    ADE20KDataset,
    LandCoverAIDataset,
    PascalVOCDataset,
    build_dataset,
)
from mmseg.errors import UserError

# The number of classes, of different colours, and whether the value 0 of a mask is ignored. Other
# tools draw some classes in one colour, such as road and skyscraper of ADE20K.
DATA_SETS = {
    "ADE20KDataset": (150, 149, True),
    "COCOStuffDataset": (171, 162, False),
    "CamVidDataset": (11, 11, False),
    "CityscapesDataset": (19, 19, False),
    "ISPRSDataset": (6, 6, True),
    "LandCoverAIDataset": (5, 5, False),
    "LoveDADataset": (7, 7, True),
    "PascalContextDataset": (60, 59, False),
    "PascalContextDataset59": (59, 58, True),
    "PascalVOCDataset": (21, 21, False),
    "PotsdamDataset": (6, 6, True),
    "iSAIDDataset": (16, 16, False),
}


def test_every_data_set_that_states_its_classes_is_tested_here():
    stated = [name for name, value in vars(datasets).items() if getattr(value, "METAINFO", 0)]
    assert sorted(stated) == sorted(DATA_SETS)


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_has_its_classes_colours_and_zero_label(name):
    cls = getattr(datasets, name)
    count, colour_count, reduces = DATA_SETS[name]
    classes, palette = cls.METAINFO["classes"], cls.METAINFO["palette"]
    assert len(classes) == len(set(classes)) == len(palette) == count
    assert len(set(palette)) == colour_count
    assert all(len(colour) == 3 and 0 <= min(colour) <= max(colour) <= 255 for colour in palette)
    assert cls.reduce_zero_label is reduces


def test_voc_palette_is_that_of_the_development_kit():
    def colour(index):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        return tuple(channels)

    assert PascalVOCDataset.METAINFO["palette"] == [colour(i) for i in range(21)]


def test_classes_are_in_the_official_order():
    classes = ADE20KDataset.METAINFO["classes"]
    assert [classes[i] for i in (0, 12, 20, 149)] == ["wall", "person", "car", "flag"]
    classes = ("background", "building", "woodland", "water", "road")
    assert LandCoverAIDataset.METAINFO["classes"] == classes


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (
            {"type": "LandCoverAIDataset", "data_root": "no"},
            r"no/img_dir.*convert_dataset\.py landcover",
        ),
        ({"type": "PascalVOCDataset", "ann_file": "trainaug.txt"}, r"convert_dataset\.py voc_aug"),
    ],
)
def test_a_missing_folder_or_list_names_its_converter(image_folder, known, message):
    folders = {"img_path": "img_dir", "seg_map_path": "ann_dir"}
    with pytest.raises(UserError, match=message):
        build_dataset({"data_root": str(image_folder), "data_prefix": folders, **known})


def test_other_classes_for_a_known_data_set_are_refused():
    names = {"classes": ("person", "barn"), "palette": [(0, 0, 0), (1, 1, 1)]}
    with pytest.raises(UserError, match=r"names other classes .* 'barn'"):
        build_dataset({"type": "PascalVOCDataset", "data_prefix": {}, "metainfo": names})


def test_what_the_masks_of_a_known_data_set_need_cannot_be_contradicted():
    with pytest.raises(UserError, match="ADE20KDataset: reduce_zero_label=False, but its masks"):
        ADE20KDataset(data_prefix={"img_path": "x"}, reduce_zero_label=False, lazy_init=True)
    ADE20KDataset(data_prefix={"img_path": "x"}, reduce_zero_label=True, lazy_init=True)


def test_tiles_of_a_sheet_belong_together(tmp_path):
    for name in ("M-33-20-D-c-4-2_0", "M-33-20-D-c-4-2_17", "N-33-60-D-c-4-2_0"):
        (tmp_path / f"{name}.jpg").touch()
    dataset = LandCoverAIDataset(data_prefix={"img_path": str(tmp_path)}, test_mode=True)
    groups = [dataset.get_data_info(i)["group"] for i in range(3)]
    assert groups == ["M-33-20-D-c-4-2", "M-33-20-D-c-4-2", "N-33-60-D-c-4-2"]
