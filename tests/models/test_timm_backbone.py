"""Any timm encoder under our head."""

import pytest
import torch

import mmseg.models  # noqa: F401
from mmseg.registry import MODELS


def test_a_timm_encoder_feeds_the_decoder():
    try:
        import timm  # noqa: F401
    except Exception as error:  # a torchvision that does not match torch raises anything
        pytest.skip(f"timm cannot be imported here: {error}")
    head = {
        "type": "LightHamHead",
        "in_channels": (128, 256, 512),
        "in_index": (2, 3, 4),
        "channels": 32,
        "ham_channels": 32,
        "ham_kwargs": {"MD_R": 4},
        "num_classes": 5,
    }
    backbone = {"type": "TIMMBackbone", "model_name": "resnet18"}
    model = MODELS.build({"type": "EncoderDecoder", "backbone": backbone, "decode_head": head})
    logits = model(torch.zeros(1, 3, 64, 96))
    assert logits.shape == (1, 5, 8, 12)
