"""MSCAN and its layers: layer norm, stochastic depth, checkpointing, sizes that no export fixes."""

import pytest
import torch
from torch import nn

from mmseg.errors import UserError
from mmseg.models.backbones import MSCAN
from mmseg.models.backbones.mscan import Block
from mmseg.models.layers import LayerNorm2d

DIMS = {"embed_dims": (8, 16, 24, 32), "depths": (2, 1, 1, 1)}


def images(batch_size, channels=3, size=(6, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(batch_size, channels, *size, generator=generator) + 1


def test_layer_norm_normalises_the_channels_of_each_pixel():
    ours, torchs = LayerNorm2d(7), nn.LayerNorm(7)
    with torch.no_grad():
        ours.weight.copy_(torch.rand(7))
        ours.bias.copy_(torch.rand(7))
    torchs.load_state_dict(ours.state_dict())
    x = images(2, channels=7)
    expected = torchs(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours(x), expected)


def train_backbone(with_cp):
    torch.manual_seed(0)
    backbone = MSCAN(**DIMS, with_cp=with_cp).train()
    x = images(2, size=(64, 64)).requires_grad_()
    outs = backbone(x)
    sum(out.square().mean() for out in outs).backward()
    gradients = {name: p.grad for name, p in backbone.named_parameters()}
    return outs, {"input": x.grad, **gradients}, backbone


@pytest.fixture(scope="module")
def plain_and_checkpointed():
    return train_backbone(False), train_backbone(True)


def test_checkpointing_keeps_the_outputs_and_gradients(plain_and_checkpointed):
    (outs, gradients, _), (same_outs, same_gradients, _) = plain_and_checkpointed
    torch.testing.assert_close(same_outs, outs)
    torch.testing.assert_close(same_gradients, gradients)


def test_checkpointing_counts_a_batch_once_in_the_running_statistics(plain_and_checkpointed):
    (*_, plain), (*_, checkpointed) = plain_and_checkpointed
    before = MSCAN(**DIMS).state_dict()["block1.0.norm1.running_mean"]
    assert not torch.equal(plain.state_dict()["block1.0.norm1.running_mean"], before)
    statistics = {k: v for k, v in plain.state_dict().items() if "running" in k}
    for key, value in statistics.items():
        torch.testing.assert_close(checkpointed.state_dict()[key], value, msg=key)
    assert {m.momentum for m in checkpointed.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_checkpointing_allows_a_second_backward_pass():
    backbone = MSCAN(**DIMS, with_cp=True).train()
    loss = sum(out.square().mean() for out in backbone(images(2, size=(64, 64))))
    weight = backbone.block1[0].norm1.weight
    first, second = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second)
    assert first.abs().max() > 0


def test_checkpointing_keeps_fewer_activations():
    def kept(with_cp):
        sizes = []
        backbone = MSCAN(**DIMS, with_cp=with_cp).train()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: sizes.append(t.numel()) or t, lambda t: t
        ):
            backbone(images(1, size=(64, 64)))
        return sum(sizes)

    assert kept(True) < kept(False) / 3


def test_a_path_is_dropped_for_a_whole_image_or_kept_and_scaled_up():
    torch.manual_seed(0)
    block = Block(8, 2.0, drop_rate=0.0, drop_path=0.75)
    scale = torch.rand(8)
    factors = block._scale(scale, torch.zeros(40, 8, 3, 5)).flatten(1)
    kept = factors.any(dim=1)
    assert 0 < kept.sum() < 25  # a quarter of 40
    torch.testing.assert_close(factors, 4 * scale * kept[:, None])


def test_an_exported_encoder_takes_any_batch_and_size():
    torch.manual_seed(0)
    encoder = MSCAN((8, 16), (1, 1), mlp_ratios=(2, 2)).eval()
    sides = (32 * torch.export.Dim(name, min=2, max=100) for name in ("height", "width"))
    dims = {0: torch.export.Dim("batch", max=100), **dict(zip((2, 3), sides, strict=True))}
    example = torch.randn(2, 3, 64, 96)
    program = torch.export.export(encoder, (example,), dynamic_shapes=(dims,)).module()
    x = torch.randn(1, 3, 96, 128)
    for result, expected in zip(program(x), encoder(x), strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_a_batch_of_one_that_ends_in_one_pixel_is_one_line():
    encoder = MSCAN(**DIMS).train()
    with pytest.raises(UserError, match=r"one image of 32x32 ends in one pixel.*larger batch"):
        encoder(images(1, size=(32, 32)))
    assert encoder(images(2, size=(32, 32)))[-1].shape[2:] == (1, 1)
    assert encoder(images(1, size=(32, 33)))[-1].shape[2:] == (1, 2)
    assert encoder.eval()(images(1, size=(32, 32)))[-1].shape[2:] == (1, 1)
