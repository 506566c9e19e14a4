"""timm's encoders under our heads, and MSCAN in timm."""

from pathlib import Path

import pytest
import torch
from contract import HEAD, ModelContract

from mmseg.config import load_config
from mmseg.models.backbones.mscan import MSCAN
from mmseg.registry import MODELS

try:
    import timm
except Exception as error:  # a torchvision that does not match torch raises anything
    pytest.skip(f"timm cannot be imported here: {error}", allow_module_level=True)

CONFIGS = Path(__file__).parents[2] / "local_configs"
FITTED = {key: value for key, value in HEAD.items() if key != "in_channels"}


class TestEfficientNetOfTimm(ModelContract):
    backbone = {"type": "TIMMBackbone", "model_name": "test_efficientnet"}
    decode_head = FITTED


def test_the_head_reads_the_maps_at_an_eighth_and_deeper():
    backbone = {"type": "TIMMBackbone", "model_name": "test_resnet"}
    model = MODELS.build({"type": "EncoderDecoder", "backbone": backbone, "decode_head": FITTED})
    maps = model.backbone(torch.zeros(1, 3, 64, 96))
    head = model.decode_head
    assert [maps[i].shape[2] for i in head.in_index] == [8, 4, 2]
    assert head.in_channels == [maps[i].shape[1] for i in head.in_index]


@pytest.mark.parametrize("path", sorted((CONFIGS / "timm").glob("*.py")), ids=lambda p: p.stem)
def test_a_config_normalises_as_the_weights_were_trained(path):
    config = load_config(path)
    cfg = timm.get_pretrained_cfg(config.model.backbone.model_name)
    for key in ("mean", "std"):
        expected = [255 * value for value in getattr(cfg, key)]
        assert config.model.data_preprocessor[key] == pytest.approx(expected)
    assert (cfg.license in path.read_text()) == ("dinov3" in path.stem)


def test_weights_are_loaded_when_a_training_starts_and_not_before(tmp_path):
    weights = timm.create_model("test_resnet").state_dict()
    torch.save(weights, tmp_path / "w.pth")
    overlay = {"options": {"pretrained_cfg_overlay": {"file": str(tmp_path / "w.pth")}}}
    name = {"type": "TIMMBackbone", "model_name": "test_resnet"}
    model = MODELS.build(name | overlay | {"init_cfg": {"type": "TIMMWeights"}})
    own = {k: v for k, v in model.timm_model.state_dict().items() if v.ndim == 4}
    assert not any(torch.equal(v, weights[k]) for k, v in own.items())
    model.init_weights()
    assert all(torch.equal(v, weights[k]) for k, v in model.timm_model.state_dict().items())


def test_mscan_in_timm_gives_the_maps_of_ours_in_the_sizes_of_the_configs(tmp_path):
    from mmseg.models.backbones import timm_models

    for name, (widths, depths, rate, file) in timm_models.SIZES.items():
        base = load_config(CONFIGS / f"_base_/models/{name}.py").model.backbone
        assert (base.embed_dims, base.depths, base.drop_path_rate) == (widths, depths, rate)
        assert base.init_cfg.url == timm_models.FOLDER + file
    ours = MSCAN(*timm_models.SIZES["mscan_tiny"][:2]).eval()
    torch.save({"state_dict": ours.state_dict()}, tmp_path / "w.pth")
    overlay = {"file": str(tmp_path / "w.pth")}
    theirs = timm.create_model(
        "mscan_tiny", features_only=True, pretrained=True, pretrained_cfg_overlay=overlay
    ).eval()
    assert theirs.feature_info.channels() == [32, 64, 160, 256]
    assert theirs.feature_info.reduction() == [4, 8, 16, 32]
    x = torch.rand(1, 3, 64, 64)
    assert all(map(torch.equal, theirs(x), ours(x)))
