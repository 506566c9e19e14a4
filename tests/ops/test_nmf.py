"""The factorisation by oneDNN against that of torch's products."""

import pytest
import torch

from mmseg import ops
from mmseg.ops import nmf


def factorise(x, bases):
    bases, coef = nmf.factorise(x, bases, steps=7)
    return bases @ coef.transpose(1, 2)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", [(1, 32, 24, 4), (3, 17, 35, 5), (2, 8, 1, 1)])
def test_factorisation_by_onednn_equals_the_plain_one_in_double(shape, channels_last, monkeypatch):
    torch.manual_seed(0)
    batch, channels, positions, rank = shape
    x, bases = torch.rand(batch, channels, positions), torch.rand(batch, channels, rank)
    if channels_last:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    expected = factorise(x.double(), bases.double())
    used = []
    times = nmf._times
    monkeypatch.setattr(nmf, "_times", lambda x: used.append(x) or times(x))
    with torch.no_grad():
        result = factorise(x, bases)
        assert len(used) == 2
        with ops.plain():
            plain = factorise(x, bases)
    assert len(used) == 2  # not in the plain path
    assert (result - expected).norm() <= 2e-6 * expected.norm()
    assert (plain - expected).norm() <= 2e-6 * expected.norm()
