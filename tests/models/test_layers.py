"""Layers: batch norm over processes, layer norm over channels, checkpointing."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmseg.models.backbones import MSCAN
from mmseg.models.layers import BatchNorm2d, LayerNorm2d

DIMS = {"embed_dims": (8, 16, 24, 32), "depths": (2, 1, 1, 1)}


def images(batch_size, channels=3, size=(6, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(batch_size, channels, *size, generator=generator) + 1


def norm_layer(cls):
    norm = cls(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
        norm.bias.copy_(torch.tensor([1.0, -1.0, 0.0]))
    return norm


def loss_of(y):
    """Not linear in y, a mean over the batch, and different for every pixel."""
    return (y**3 * torch.linspace(-1, 1, y[0].numel()).view(y[0].shape)).mean()


def run_norm(norm, x):
    """Two forward passes, so that running statistics move twice, and one backward."""
    norm(x.detach() * 2)
    x = x.requires_grad_()
    y = norm(x)
    loss_of(y).backward()
    module = getattr(norm, "module", norm)
    return {
        "output": y.detach(),
        "input gradient": x.grad,
        "weight gradient": module.weight.grad,
        "bias gradient": module.bias.grad,
        **module.state_dict(),
    }


MEMORY_FORMATS = (torch.contiguous_format, torch.channels_last)


def half_of_batch_norm(rank):
    results = []
    for memory_format in MEMORY_FORMATS:
        x = images(6)[3 * rank : 3 * rank + 3].contiguous(memory_format=memory_format)
        norm = DistributedDataParallel(norm_layer(BatchNorm2d), broadcast_buffers=False)
        results.append(run_norm(norm, x))
    return results


@pytest.fixture(scope="module")
def halves(in_two_processes):
    return in_two_processes(half_of_batch_norm)


@pytest.mark.parametrize("index", [0, 1], ids=map(str, MEMORY_FORMATS))
def test_batch_norm_over_two_processes_equals_that_of_the_whole_batch(halves, index):
    first, second = (half[index] for half in halves)
    expected = run_norm(norm_layer(nn.BatchNorm2d), images(6))
    # Each process takes the mean over its half of the batch.
    expected["input gradient"] = 2 * expected["input gradient"]
    for name, value in expected.items():
        if name in ("output", "input gradient"):
            both = torch.cat([first[name], second[name]])
            torch.testing.assert_close(both, value, msg=lambda m, n=name: f"{n}: {m}")
        else:
            for result in (first[name], second[name]):
                torch.testing.assert_close(result, value, msg=lambda m, n=name: f"{n}: {m}")


def test_batch_norm_in_one_process_equals_torchs():
    ours, torchs = (run_norm(norm_layer(cls), images(4)) for cls in (BatchNorm2d, nn.BatchNorm2d))
    assert ours.keys() == torchs.keys()
    for name, value in torchs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=0)


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


def test_checkpointing_leaves_the_momentum_of_batch_norm_as_it_was(plain_and_checkpointed):
    backbone = plain_and_checkpointed[1][2]
    assert {m.momentum for m in backbone.modules() if isinstance(m, BatchNorm2d)} == {0.1}


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
