"""Offset learning against its equations, and its weights in files."""

import math

import pytest
import torch
from mmengine.logging import MMLogger
from random_weights import random_weights
from torch.nn import functional as F

from mmseg.checkpoints.loading import load_model_weights
from mmseg.compat.openmmlab import adapt_component
from mmseg.errors import UserError
from mmseg.models.decode_heads.offset_learning import OffsetLearning
from mmseg.registry import MODELS


def build(num_classes: int) -> torch.nn.Module:
    backbone = {"type": "MSCAN", "embed_dims": (8, 8, 16, 16), "depths": (1, 1, 1, 1)}
    head = {
        "type": "LightHamHeadOffsetLearning",
        "in_channels": (8, 16, 16),
        "channels": 32,
        "ham_channels": 32,
        "ham_kwargs": {"MD_R": 4},
        "num_classes": num_classes,
    }
    model = MODELS.build({"type": "EncoderDecoder", "backbone": backbone, "decode_head": head})
    model.load_state_dict(random_weights(model))
    return model


def test_logits_are_those_of_the_equations_position_by_position():
    torch.manual_seed(0)
    module = OffsetLearning(6, 3).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 6, 2, 5, dtype=torch.float64)
    w_c, w_f = module.cls_offset_proj.weight, module.feat_offset_proj.weight
    expected = torch.empty(2, 3, 2, 5, dtype=torch.float64)
    for image in range(2):
        f = [x[image, :, n // 5, n % 5] for n in range(10)]
        p = list(module.cls_repr[0])
        a = [[float(p[k] @ f[n]) for n in range(10)] for k in range(3)]
        classes = []
        for k in range(3):
            total = sum(math.exp(value) for value in a[k])
            seen = sum(math.exp(a[k][n]) / total * f[n] for n in range(10))
            classes.append(p[k] + w_c @ seen)
        for n in range(10):
            total = sum(math.exp(a[k][n]) for k in range(3))
            offset = w_f @ sum(math.exp(a[k][n]) / total * p[k] for k in range(3))
            z = torch.stack([(f[n] + offset) @ each for each in classes])
            z = F.layer_norm(z, (3,), module.mask_norm.weight, module.mask_norm.bias)
            expected[image, :, n // 5, n % 5] = z
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)


def test_a_published_file_loads_with_its_unused_classifier(tmp_path, monkeypatch):
    model = build(num_classes=5)
    unused = {"decode_head.conv_seg.weight": torch.ones(5, 32, 1, 1)}
    meta = {"nmf_rank": 4}
    torch.save({"state_dict": model.state_dict() | unused, "meta": meta}, tmp_path / "a.pth")
    other = build(num_classes=5)
    torch.nn.init.zeros_(other.decode_head.offset_learning.cls_repr)
    lines = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "info", lines.append)
    load_model_weights(other, tmp_path / "a.pth", nmf_rank=4)
    assert lines[0].endswith("1 others in the file not used")
    found = other.decode_head.offset_learning.cls_repr
    assert found.equal(model.decode_head.offset_learning.cls_repr)


@pytest.mark.parametrize("new_classes", [False, True])
def test_another_number_of_classes_is_refused_or_starts_fresh(tmp_path, new_classes):
    torch.save({"state_dict": build(num_classes=5).state_dict()}, tmp_path / "a.pth")
    model = build(num_classes=3)
    if new_classes:
        load_model_weights(model, tmp_path / "a.pth", new_classes=True, nmf_rank=4)
    else:
        with pytest.raises(UserError, match="trained on 5 classes, the config has 3"):
            load_model_weights(model, tmp_path / "a.pth", nmf_rank=4)


def test_a_fresh_classifier_is_drawn_with_a_deviation_of_a_fiftieth():
    torch.manual_seed(0)
    model = build(num_classes=150)
    model.init_weights()
    module = model.decode_head.offset_learning
    for weight in (module.cls_repr, module.cls_offset_proj.weight, module.feat_offset_proj.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not hasattr(model.decode_head, "conv_seg")


def test_the_head_of_a_published_config_keeps_its_rank():
    ham = {"MD_S": 1, "MD_R": 16, "train_steps": 6, "eval_steps": 7, "inv_t": 100}
    head = {"type": "LightHamHeadOffsetLearning", "ham_kwargs": ham | {"rand_init": True}}
    adapted = adapt_component(head | {"input_transform": "multiple_select"}, "decode_head")
    assert adapted == {"type": "LightHamHeadOffsetLearning", "ham_kwargs": {"MD_R": 16}}
