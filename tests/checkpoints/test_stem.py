"""ImageNet weights for encoders that take other than three bands."""

import pytest
import torch

from mmseg.checkpoints.files import write_checkpoint
from mmseg.checkpoints.loading import adapt_stem, load_model_weights
from mmseg.errors import UserError
from mmseg.inference import fuse
from mmseg.registry import MODELS

STEM = "patch_embed1.proj.0.weight"


@pytest.fixture
def encoder(tiny_model):
    return tiny_model["backbone"]


def test_named_colours_keep_their_filters_and_others_get_the_mean():
    weight = torch.randn(8, 3, 3, 3)
    found = adapt_stem(weight, ("nir", "blue", "red", "green"), "a.pth") * 4 / 3
    expected = [weight.mean(1), weight[:, 2], weight[:, 0], weight[:, 1]]
    for band, plane in enumerate(expected):
        torch.testing.assert_close(found[:, band], plane)
    assert adapt_stem(weight, ("red", "green", "blue"), "a.pth") is weight


@pytest.mark.parametrize(
    "bands", [("red", "green", "blue", "nir"), ("pan",), ("a", "b", "c", "d", "e")]
)
def test_a_grey_image_gives_the_activations_of_the_three_band_encoder(
    encoder, tmp_path, bands, log
):
    old = MODELS.build(encoder).eval()
    write_checkpoint(tmp_path / "a.pth", old.state_dict(), {})
    init = {"type": "PretrainedBackbone", "checkpoint": str(tmp_path / "a.pth"), "bands": bands}
    new = MODELS.build({**encoder, "in_channels": len(bands), "init_cfg": init})
    new.init_weights()
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        pairs = zip(
            old(grey.repeat(1, 3, 1, 1)), new.eval()(grey.repeat(1, len(bands), 1, 1)), strict=True
        )
        for expected, found in pairs:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert f"take the {len(bands)} bands {', '.join(bands)}" in log.read()
    assert f"all times 3/{len(bands)}" in log.read()


def test_a_checkpoint_of_other_bands_is_refused_with_both_numbers(tiny_model, tmp_path):
    write_checkpoint(tmp_path / "a.pth", MODELS.build(tiny_model).state_dict(), {"nmf_rank": 4})
    tiny_model["backbone"]["in_channels"] = 4
    with pytest.raises(UserError, match="trained on images of 3 bands, the config has 4"):
        load_model_weights(MODELS.build(tiny_model), tmp_path / "a.pth")


def test_an_encoder_of_five_bands_is_fused(tiny_model):
    tiny_model["backbone"]["in_channels"] = 5
    model = MODELS.build(tiny_model).eval()
    fused, image = fuse(model), torch.randn(1, 5, 64, 64)
    assert fused is not model
    with torch.no_grad():
        torch.testing.assert_close(fused.logits(image), model.logits(image), rtol=1e-3, atol=1e-4)
