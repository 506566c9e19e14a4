"""PackSegInputs: shapes, types and metadata."""

import numpy as np
import pytest
import torch

from mmseg.datasets.transforms import PackSegInputs
from mmseg.errors import UserError


@pytest.fixture
def results():
    return {
        # Flipped views, as a flip leaves them: torch takes no negative strides.
        "img": np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)[:, ::-1],
        "gt_seg_map": np.arange(20, dtype=np.uint8).reshape(4, 5)[:, ::-1],
        "img_path": "a.jpg",
        "seg_map_path": "a.png",
        "ori_shape": (8, 10),
        "img_shape": (4, 5),
        "flip": True,
        "flip_direction": "horizontal",
        "reduce_zero_label": False,
        "scale_factor": 0.5,
    }


def test_image_has_its_channels_first_and_a_sample_with_labels_and_metadata(results):
    packed = PackSegInputs()(results)
    inputs, labels = packed["inputs"], packed["data_samples"].gt_sem_seg.data
    assert inputs.dtype == labels.dtype == torch.uint8
    np.testing.assert_array_equal(inputs.numpy(), results["img"].transpose(2, 0, 1))
    np.testing.assert_array_equal(labels.numpy(), results["gt_seg_map"][None])
    expected = {k: v for k, v in results.items() if k not in ("img", "gt_seg_map", "scale_factor")}
    assert packed["data_samples"].metainfo == expected


def test_meta_keys_of_a_config_are_kept_too(results):
    found = PackSegInputs(meta_keys=("scale_factor", "img_path", "absent"))(results)
    assert found["data_samples"].scale_factor == 0.5
    assert found["data_samples"].ori_shape == (8, 10)


def test_sample_without_labels_has_none(results):
    del results["gt_seg_map"], results["seg_map_path"]
    sample = PackSegInputs()(results)["data_samples"]
    assert "gt_sem_seg" not in sample
    assert "seg_map_path" not in sample.metainfo


@pytest.mark.parametrize(
    ("key", "made", "found"),
    [
        ("gt_seg_map", lambda x: x + 0.7, "the labels float64; resize them by 'nearest'"),
        ("img", lambda x: np.concatenate([x, x[..., :1]], 2), r"the image \(4, 5, 4\), not"),
        ("img", lambda x: x[..., 0], r"the image \(4, 5\), not \(height, width, 3\)"),
    ],
)
def test_what_a_transform_must_not_make_is_named_with_its_file(results, key, made, found):
    results[key] = made(results[key])
    with pytest.raises(UserError, match=f"a.jpg: a transform of the pipeline has made {found}"):
        PackSegInputs()(results)
