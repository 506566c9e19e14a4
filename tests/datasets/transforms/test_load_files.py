"""LoadImageFromFile and LoadAnnotations: arrays, or an error that names the file."""

import io

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.errors import UserError


@pytest.fixture
def info(image_folder):
    return {
        "img_path": str(image_folder / "img_dir/a.jpg"),
        "seg_map_path": str(image_folder / "ann_dir/a.png"),
        "num_classes": 3,
        "reduce_zero_label": False,
    }


def test_image_is_bgr_with_its_size(info, tmp_path):
    colour = np.zeros((4, 6, 3), np.uint8)
    colour[..., 0] = 200  # red
    Image.fromarray(colour).save(tmp_path / "red.png")
    results = LoadImageFromFile()({**info, "img_path": str(tmp_path / "red.png")})
    assert results["img"].dtype == np.uint8
    np.testing.assert_array_equal(results["img"], colour[..., ::-1])
    assert results["img_shape"] == results["ori_shape"] == (4, 6)


def test_grey_image_gets_three_channels(info, tmp_path):
    Image.fromarray(np.full((4, 6), 7, np.uint8)).save(tmp_path / "grey.png")
    results = LoadImageFromFile()({**info, "img_path": str(tmp_path / "grey.png")})
    np.testing.assert_array_equal(results["img"], np.full((4, 6, 3), 7))


def test_image_in_memory_is_kept(info):
    image = np.zeros((5, 7, 3), np.uint8)
    results = LoadImageFromFile()({**info, "img": image})
    assert results["img"] is image
    assert results["ori_shape"] == (5, 7)


def test_labels_are_the_train_ids_of_the_mask(info):
    results = LoadAnnotations()(LoadImageFromFile()({**info, "reduce_zero_label": True}))
    assert results["gt_seg_map"].dtype == np.uint8
    assert results["gt_seg_map"].shape == (48, 64)
    assert results["gt_seg_map"][0, [0, 32, 63]].tolist() == [255, 0, 1]


def test_sizes_that_differ_name_both_files(info, image_folder):
    Image.fromarray(np.zeros((50, 64), np.uint8)).save(image_folder / "ann_dir/a.png")
    loaded = LoadImageFromFile()(info)
    with pytest.raises(UserError, match=r"ann_dir/a\.png.*64x50.*img_dir/a\.jpg 64x48"):
        LoadAnnotations()(loaded)


def test_mask_turned_by_90_degrees_is_refused(info, image_folder):
    Image.fromarray(np.zeros((64, 48), np.uint8)).save(image_folder / "ann_dir/a.png")
    with pytest.raises(UserError, match="48x64"):
        LoadAnnotations()(LoadImageFromFile()(info))


def truncated(kind):
    data = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(data, kind)
    return data.getvalue()[:-200]


BAD_FILES = {
    "truncated jpeg": truncated("JPEG"),
    "truncated png": truncated("PNG"),
    "empty": b"",
    "text": b"404: not found\n" * 10,
    "jpeg without content": b"\xff\xd8" + b"\0" * 50 + b"\xff\xd9",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_damaged_image_is_named(info, image_folder, content):
    (image_folder / "img_dir/a.jpg").write_bytes(content)
    with pytest.raises(UserError, match=r"img_dir/a\.jpg: "):
        LoadImageFromFile()(info)


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_damaged_mask_is_named(info, image_folder, content):
    loaded = LoadImageFromFile()(info)
    (image_folder / "ann_dir/a.png").write_bytes(content)
    with pytest.raises(UserError, match=r"ann_dir/a\.png: "):
        LoadAnnotations()(loaded)


def test_missing_image_is_named(info):
    with pytest.raises(UserError, match=r"z\.jpg: cannot read the image"):
        LoadImageFromFile()({**info, "img_path": "z.jpg"})
