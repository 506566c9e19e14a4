"""Batches: what `stack_batch` keeps, pads and takes away."""

import pytest
import torch
from mmengine.structures import PixelData
from torch.utils.data import DataLoader

from mmseg.errors import UserError
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.structures import SegDataSample, stack_batch

SIZES = ((4, 5), (6, 3))
FILES = ("a.jpg", "b.jpg")


def packed(index: int) -> dict:
    """A sample as the pipeline leaves it: channels last in memory, a draw for the device."""
    generator = torch.Generator().manual_seed(index)
    height, width = SIZES[index]
    image = torch.randint(256, (height, width, 3), generator=generator, dtype=torch.uint8)
    labels = torch.randint(3, (1, height, width), generator=generator, dtype=torch.uint8)
    distortion = {"brightness": 10.0 * index, "contrast_first": True}
    sample = SegDataSample(metainfo={"img_path": FILES[index], "distortion": distortion})
    sample.gt_sem_seg = PixelData(data=labels)
    return {"inputs": image.permute(2, 0, 1), "data_samples": sample}


def test_smaller_images_and_labels_are_padded_at_the_right_and_the_bottom():
    batch = stack_batch([packed(0), packed(1)])
    assert batch["inputs"].shape == (2, 3, 6, 5)
    assert batch["labels"].shape == (2, 1, 6, 5)
    assert batch["inputs"].dtype == batch["labels"].dtype == torch.uint8
    assert batch["sizes"] == [*SIZES]
    for i, (height, width) in enumerate(SIZES):
        expected = packed(i)
        labels = expected["data_samples"].gt_sem_seg.data
        assert torch.equal(batch["inputs"][i, :, :height, :width], expected["inputs"])
        assert torch.equal(batch["labels"][i, :, :height, :width], labels)
        for found, padding in ((batch["inputs"][i], 0), (batch["labels"][i], 255)):
            assert found[:, height:].eq(padding).all()
            assert found[:, :, width:].eq(padding).all()
    assert [sample.img_path for sample in batch["data_samples"]] == [*FILES]
    assert not any("gt_sem_seg" in sample for sample in batch["data_samples"])


def test_a_worker_hands_over_two_tensors_of_one_memory_each():
    loader = DataLoader([packed(0), packed(1)], 2, num_workers=1, collate_fn=stack_batch)
    (batch,) = loader
    for tensor in (batch["inputs"], batch["labels"]):
        assert tensor.is_shared()
        assert tensor.untyped_storage().nbytes() == tensor.numel()
        assert tensor.permute(0, 2, 3, 1).is_contiguous()
    expected = stack_batch([packed(0), packed(1)])
    assert torch.equal(batch["inputs"], expected["inputs"])


def test_stacked_and_single_images_become_the_same_batch():
    preprocessor = SegDataPreProcessor((1.0, 2.0, 3.0), (1.0, 2.0, 4.0), (8, 7), seg_pad_val=9)
    items = [packed(0), packed(1)]
    single = {key: [item[key] for item in items] for key in items[0]}
    one, other = (
        preprocessor(batch, training=True)
        for batch in (single, stack_batch([packed(0), packed(1)]))
    )
    assert torch.equal(one["inputs"], other["inputs"])
    for result in (one, other):
        for i, (height, width) in enumerate(SIZES):
            labels = result["data_samples"][i].gt_sem_seg.data
            expected = packed(i)["data_samples"].gt_sem_seg.data
            assert labels.shape == (1, 8, 7)
            assert torch.equal(labels[:, :height, :width], expected)
            assert labels.eq(9).sum() == 8 * 7 - height * width
    assert all("gt_sem_seg" in sample for sample in single["data_samples"])


def test_a_step_that_changes_the_image_alone_is_noticed():
    sample = packed(0)
    sample["inputs"] = sample["inputs"].repeat(1, 2, 2)
    with pytest.raises(UserError, match=r"a\.jpg: .* image is \(8, 10\) and its labels \(4, 5\)"):
        stack_batch([sample])


def test_a_training_sample_without_labels_is_named():
    sample = packed(1)
    del sample["data_samples"].gt_sem_seg
    with pytest.raises(UserError, match=r"b\.jpg: has no labels; add LoadAnnotations"):
        stack_batch([sample])


@pytest.mark.parametrize("key", ["gt_sem_seg", "pred_sem_seg", "seg_logits"])
def test_a_map_that_is_no_pixel_data_is_refused_with_what_to_give(key):
    labels = torch.zeros(1, 4, 5, dtype=torch.uint8)
    with pytest.raises(UserError, match=rf"sample.{key} is a Tensor: set it to PixelData"):
        setattr(SegDataSample(), key, labels)
    with pytest.raises(UserError, match="is a ndarray"):
        SegDataSample(**{key: labels.numpy()})
    assert SegDataSample(**{key: PixelData(data=labels)}).get(key).shape == (4, 5)
