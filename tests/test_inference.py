"""A fused model against the plain model that it was made from."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from random_weights import random_weights
from torch import nn
from torch.nn.parallel import DataParallel

from mmseg.errors import UserError
from mmseg.inference import FusedMSCAN, around_same_weights, fuse
from mmseg.models.backbones import MSCAN
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@pytest.fixture
def model(tiny_model):
    """A model whose norms and layer scales all differ from their initial values."""
    tiny_model["backbone"]["depths"] = (2, 1, 2, 1)
    model = MODELS.build(tiny_model)
    model.load_state_dict(random_weights(model))
    return model.eval()


def image(*size, batch=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def maps(model, x):
    return model.backbone(x)


def deviation(result, expected):
    """Largest relative deviation of the four maps."""
    return max(((a - b).norm() / b.norm()).item() for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize(("batch", "size"), [(1, (64, 64)), (2, (65, 47)), (2, (7, 30))])
def test_fused_maps_equal_the_plain_ones_up_to_rounding(model, batch, size):
    x = image(*size, batch=batch)
    before = x.clone()
    result, expected = maps(fuse(model), x), maps(model, x)
    assert 0 < deviation(result, expected) < 1e-5  # not 0: another computation
    assert torch.equal(x, before)
    exact = maps(fuse(model.double()), x.double()), maps(model, x.double())
    assert deviation(*exact) < 1e-13


def test_with_amp_the_backbone_computes_in_half_precision(model):
    x = image(64, 96)
    expected = maps(model, x)
    model.test_cfg = {"mode": "whole", "amp": True}
    result = maps(fuse(model), x)
    with torch.autocast("cpu", torch.bfloat16):
        plain = maps(model, x)
    assert {each.dtype for each in result} == {torch.bfloat16}
    # The residual stream is bfloat16 too, which plain autocast leaves in float32.
    assert deviation(result, expected) < min(0.02, 2.5 * deviation(plain, expected))
    logits, plain_logits = (each.logits(x) for each in (fuse(model), model))
    assert logits.dtype == torch.float32
    assert (logits - plain_logits).abs().max() < 0.1 * plain_logits.abs().max()


def test_a_model_of_half_precision_stays_so_whatever_the_autocast_of_the_caller(model):
    x = image(64, 96)
    expected = maps(model, x)
    fast = fuse(model.half())
    result = maps(fast, x.half())
    with torch.autocast("cpu", torch.bfloat16):
        assert deviation(maps(fast, x.half()), result) == 0
    assert {each.dtype for each in result} == {torch.float16}
    assert deviation([each.float() for each in result], expected) < 0.05


def test_the_plain_model_stays_as_it_is(model):
    model.train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    fast = fuse(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    for tensor in (*fast.parameters(), *fast.buffers()):
        tensor.zero_()
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)


def test_changes_of_the_plain_model_do_not_reach_the_fused_one(model):
    fast = fuse(model)
    expected = fast(image(32, 64))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    model.backbone.block1[0].norm1.running_mean.add_(1)
    assert torch.equal(fast(image(32, 64)), expected)
    assert deviation(maps(fuse(model), image(32, 64)), maps(model, image(32, 64))) < 1e-5


def test_a_copy_around_the_same_weights_takes_no_memory_and_moves_alone(model):
    other = around_same_weights(model)
    pairs = list(zip(other.parameters(), model.parameters(), strict=True))
    assert all(a.data_ptr() == b.data_ptr() for a, b in pairs)
    assert torch.equal(maps(other, image(32, 64))[3], maps(model, image(32, 64))[3])
    other.double()
    assert {each.dtype for each in (*model.parameters(), *model.buffers())} <= {
        torch.float32,
        torch.int64,
    }


def test_a_fused_model_cannot_be_trained(model):
    fast = fuse(model)
    with pytest.raises(UserError, match=r"inference only: .*init_model\(\.\.\., fused=False\)"):
        fast.train()
    assert not fast.eval().backbone.training
    assert not any(each.requires_grad for each in fast.backbone(image(32, 32).requires_grad_()))


def reloaded(model):
    other = fuse(MODELS.build(model.config))
    other.load_state_dict(model.state_dict())
    return other


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), reloaded]
)
def test_copies_of_a_fused_model_compute_the_same(model, tiny_model, copied):
    fast = fuse(model)
    fast.config = tiny_model
    assert torch.equal(copied(fast)(image(32, 64)), fast(image(32, 64)))


def prediction(model, image):
    sample = SegDataSample(metainfo={"ori_shape": (48, 80), "img_shape": (64, 96)})
    (result,) = model.test_step({"inputs": [image], "data_samples": [sample]})
    return result.pred_sem_seg.data


def test_predictions_have_the_interface_of_the_plain_model(model):
    x = image(64, 96)[0]
    found, expected = prediction(fuse(model), x), prediction(model, x)
    assert (found == expected).float().mean() > 0.999
    assert len(expected.unique()) > 1


@pytest.mark.parametrize("wrap", [lambda m: m, DataParallel], ids=["alone", "wrapped"])
def test_models_are_fused_inside_wrappers(model, tiny_model, wrap):
    tta = MODELS.build({"type": "SegTTAModel", "module": tiny_model}).eval()
    tta.module.load_state_dict(model.state_dict())
    fast = fuse(wrap(tta))
    assert type(fast) is type(tta)
    assert type(fast.module.backbone) is FusedMSCAN
    assert type(tta.module.backbone) is MSCAN
    assert type(fuse(wrap(model))) is type(model)


class OwnMSCAN(MSCAN):
    def forward(self, x):
        return tuple(-each for each in super().forward(x))


def test_models_with_another_backbone_are_returned_as_they_are(model, tiny_model):
    fast = fuse(model)
    assert fuse(fast) is fast
    tiny_model["backbone"]["type"] = OwnMSCAN
    own = MODELS.build(tiny_model)
    assert fuse(own) is own
    assert own.training
    assert fuse(layer := nn.Linear(1, 1)) is layer


def test_threads_may_share_a_fused_model(model):
    fast = fuse(model)
    images = [image(32 + 32 * (i % 2), 64) + i for i in range(8)]
    expected = [fast(each) for each in images]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(pool.map(fast, images), expected, strict=True):
            torch.testing.assert_close(found, wanted)


def without_attention(backbone):
    backbone.block1[0].attn = nn.Identity()


def patched(backbone):
    backbone.block3[1].mlp.forward = lambda x: torch.zeros_like(x)


def hooked(backbone):
    backbone.block2[0].norm1.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("change", [without_attention, patched, hooked])
def test_a_model_whose_encoder_was_changed_is_not_fused_and_the_log_says_so(model, change, log):
    change(model.backbone)
    assert fuse(model) is model
    assert "not fused: a part of its encoder was changed, or has a hook" in log.read()
