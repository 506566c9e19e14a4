"""A stand-in for a GPU: tensors that have no values, on the device "meta".

What asks for a value fails there, and would make a program wait for a GPU.
"""

from contextlib import nullcontext

import pytest
import torch
from mmengine.structures import PixelData

from mmseg.registry import MODELS
from mmseg.structures import SegDataSample, stack_batch

LOSSES = [
    {"type": "CrossEntropyLoss"},
    {"type": "CrossEntropyLoss", "class_weight": [1.0, 2.0, 3.0], "avg_non_ignore": True},
    {"type": "DiceLoss"},
    {"type": "ClassDiceLoss", "class_weight": [1.0, 2.0, 3.0]},
]


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch):
    # "meta" has none, not even one to switch off.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)


def labelled(count: int) -> list[dict]:
    samples = []
    for _ in range(count):
        sample = SegDataSample(metainfo={"img_path": "a.jpg", "distortion": {"contrast": 1.2}})
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, 64, 60, dtype=torch.uint8))
        image = torch.zeros(3, 64, 60, dtype=torch.uint8)
        samples.append({"inputs": image, "data_samples": sample})
    return samples


@pytest.mark.parametrize("loss", LOSSES)
def test_a_training_step_asks_for_no_value_before_its_losses_are_looked_at(tiny_model, loss):
    tiny_model["decode_head"]["loss_decode"] = loss
    model = MODELS.build(tiny_model).to("meta")
    batch = model.data_preprocessor(stack_batch(labelled(2)), True)
    losses = model(**batch, mode="loss")
    sum(value for name, value in losses.items() if "loss" in name).backward()
    assert all(parameter.grad.is_meta for parameter in model.parameters())
    with pytest.raises(NotImplementedError, match="no data"):
        model.parse_losses(losses)


def test_a_prediction_asks_for_no_value(tiny_model):
    model = MODELS.build(tiny_model).to("meta").eval()
    samples = [SegDataSample(metainfo={"ori_shape": (80, 90), "img_shape": (64, 64)})]
    with torch.no_grad():
        (found,) = model.test_step(
            {"inputs": [torch.zeros(3, 64, 64, dtype=torch.uint8)], "data_samples": samples}
        )
    assert found.pred_sem_seg.data.is_meta
    assert found.pred_sem_seg.data.shape == (1, 80, 90)
