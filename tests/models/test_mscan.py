"""MSCAN: stochastic depth, and sizes that no export fixes."""

import torch

from mmseg.models.backbones import MSCAN
from mmseg.models.backbones.mscan import Block


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
    encoder = MSCAN((8, 16, 24, 32), (1, 1, 1, 1)).eval()
    sides = (32 * torch.export.Dim(name, min=2, max=100) for name in ("height", "width"))
    dims = {0: torch.export.Dim("batch", max=100), **dict(zip((2, 3), sides, strict=True))}
    example = torch.randn(2, 3, 64, 96)
    program = torch.export.export(encoder, (example,), dynamic_shapes=(dims,)).module()
    x = torch.randn(1, 3, 96, 128)
    for result, expected in zip(program(x), encoder(x), strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
