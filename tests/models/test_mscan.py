"""Parts of MSCAN that have a way of their own on CPUs."""

import pytest
import torch

from mmseg import ops
from mmseg.models.backbones import mscan


def output_and_gradients(mlp, x):
    x = x.clone().requires_grad_()
    mlp.zero_grad()
    out = mlp(x)
    out.square().sum().backward()
    return [out.detach(), x.grad, *(p.grad.clone() for p in mlp.parameters())]


@pytest.mark.parametrize("batch", [1, 3])
def test_an_mlp_with_large_hidden_maps_takes_image_by_image(batch, monkeypatch):
    torch.manual_seed(0)
    mlp = mscan.Mlp(4, 16, drop_rate=0.0).double()
    x = torch.randn(batch, 4, 5, 7).double().to(memory_format=torch.channels_last)
    seen = []
    mlp.fc1.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    monkeypatch.setattr(mscan, "RETURNED_BLOCK", batch * 16 * 5 * 7 * 8)
    results = output_and_gradients(mlp, x)
    assert seen == [1] * batch
    with ops.plain():
        expected = output_and_gradients(mlp, x)
    assert seen == [1] * batch + [batch]
    assert results[0].is_contiguous(memory_format=torch.channels_last)
    for result, reference in zip(results, expected, strict=True):
        torch.testing.assert_close(result, reference, rtol=1e-12, atol=1e-12)


def test_a_path_is_dropped_for_a_whole_image_or_kept_and_scaled_up():
    torch.manual_seed(0)
    block = mscan.Block(8, 2.0, drop_rate=0.0, drop_path=0.75)
    scale = torch.rand(8)
    x, branch = torch.randn(2, 40, 8, 3, 5)
    change = block._add(x, scale, branch) - x
    kept = change.flatten(1).any(dim=1)
    assert 0 < kept.sum() < 25  # a quarter of 40
    expected = 4 * scale[:, None, None] * branch * kept[:, None, None, None]
    torch.testing.assert_close(change, expected, atol=2e-6, rtol=0)
    assert torch.equal(block.eval()._add(x, scale, branch), scale[:, None, None] * branch + x)
