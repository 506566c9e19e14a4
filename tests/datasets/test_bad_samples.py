"""What a training does with a file that cannot be read."""

import shutil

import pytest

from mmseg.datasets import BaseSegDataset
from mmseg.errors import UserError
from mmseg.randomness import Draw

PIPELINE = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}]


def dataset(folder, **kwargs):
    return BaseSegDataset(
        data_root=str(folder),
        data_prefix={"img_path": "img_dir", "seg_map_path": "ann_dir"},
        metainfo={"classes": ("a", "b", "c"), "palette": [(0, 0, 0), (9, 9, 9), (99, 9, 9)]},
        pipeline=PIPELINE,
        **kwargs,
    )


@pytest.fixture
def broken(image_folder):
    """The folder with its first image cut short."""
    path = sorted((image_folder / "img_dir").iterdir())[0]
    path.write_bytes(path.read_bytes()[:100])
    return image_folder


def test_raise_names_the_file(broken):
    with pytest.raises(UserError, match=r"img_dir/\w+\.jpg: the image is truncated"):
        dataset(broken)[0]


def test_skip_logs_once_and_draws_the_same_other_sample_whatever_came_before(broken, warnings):
    data = dataset(broken, on_bad_sample="skip", max_bad_share=0.25)
    chosen = {seed: data[Draw(0, seed)]["data_samples"].img_path for seed in range(8)}
    assert len(set(chosen.values())) == 3
    again = dataset(broken, on_bad_sample="skip", max_bad_share=0.25)
    for seed in reversed(range(8)):
        assert again[Draw(0, seed)]["data_samples"].img_path == chosen[seed]
    assert len(warnings) == 2  # one of each data set
    assert "truncated" in warnings[0] and "another sample takes its place" in warnings[0]


def test_skip_stops_when_too_many_are_bad(broken, warnings):
    data = dataset(broken, on_bad_sample="skip", max_bad_share=0.2)
    with pytest.raises(UserError, match=r"1 of 4 samples are bad, more than max_bad_share=0\.2"):
        data[Draw(0, 1)]


@pytest.mark.parametrize("what", ["raise", "skip"])
def test_a_folder_that_disappears_is_one_clear_message(image_folder, what):
    data = dataset(image_folder, on_bad_sample=what, max_bad_share=1.0)
    shutil.rmtree(image_folder)
    with pytest.raises(UserError, match=r"img_dir: the folder is gone since the training began"):
        data[Draw(1, 1)]
