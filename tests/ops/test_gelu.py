"""The loops of GELU against torch in float64."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmseg.ops.fold_avx2 import _bias_by_neighbours

kernel = pytest.importorskip("mmseg.ops.numba_gelu")


def gelu(values):
    x = np.array(values, np.float32)[:, None]
    kernel.add_and_gelu(x, np.zeros(1, np.float32))
    return x[:, 0]


def test_gelu_is_as_near_as_rounding_lets_it():
    x = torch.cat([torch.linspace(-6, 6, 100_001), torch.logspace(0, 6, 1001) * 5]).float()
    x = torch.cat([x, -x])
    error = torch.from_numpy(gelu(x)) - F.gelu(x.double())
    assert (error.abs() <= 2.5e-7 * x.abs().clamp(min=1)).all()


def test_gelu_is_exact_far_from_zero_and_passes_what_is_not_finite_on():
    assert gelu([0, 6, 1e30, -6, -1e30]).tolist() == [0, 6, np.float32(1e30), 0, 0]
    # Which of them it becomes is another matter in torch, too, from one processor to the next.
    assert not np.isfinite(gelu([np.inf, -np.inf, np.nan])).any()


def test_bias_is_added_before_gelu():
    rng = np.random.default_rng(0)
    x, bias = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    expected = F.gelu(torch.from_numpy(x).double() + torch.from_numpy(bias))
    kernel.add_and_gelu(x, bias)
    np.testing.assert_allclose(x, expected, atol=5e-7)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 1), (2, 2), (9, 7)])
@pytest.mark.parametrize("channels", [3, 20])
def test_depthwise_convolution_with_its_biases_equals_that_of_torch(size, channels):
    torch.manual_seed(0)
    x, taps = torch.randn(*size, channels), torch.randn(3, 3, channels)
    before, after = torch.randn(2, channels)
    expected = F.gelu(
        F.conv2d(
            (x + before).permute(2, 0, 1)[None].double(),
            taps.permute(2, 0, 1)[:, None].double(),
            after.double(),
            padding=1,
            groups=channels,
        )
    )[0].permute(1, 2, 0)
    # In bands of three rows, the last two of which are convolved apart.
    bias = _bias_by_neighbours(taps, before, after).numpy()
    outside = torch.full((1, size[1], channels), torch.nan)
    padded = torch.cat([outside, x, outside]).numpy()
    for top in range(0, size[0], 3):
        rows = min(3, size[0] - top)
        out = np.full((3, size[1], channels), np.nan, np.float32)
        for begin, end in ((0, 1), (1, rows)):
            kernel.depthwise_gelu(
                padded[top : top + rows + 2], taps.numpy(), bias, top, size[0], begin, end, out
            )
        np.testing.assert_allclose(out[:rows], expected[top : top + rows], atol=5e-6)
        assert np.isnan(out[rows:]).all()
