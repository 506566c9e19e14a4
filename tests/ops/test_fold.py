"""The folded backbone against the plain one; it never outlives the weights it was made of."""

import copy
import pickle

import pytest
import torch
from torch import nn

from mmseg import ops
from mmseg.models.layers import PointwiseConv2d
from mmseg.ops import fold, fold_avx2
from mmseg.registry import MODELS


@pytest.fixture
def backbone(tiny_model):
    """An MSCAN whose norms and layer scales all differ from their initial values."""
    torch.manual_seed(0)
    backbone = MODELS.build({**tiny_model["backbone"], "depths": (2, 1, 2, 1)})
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    for name, parameter in backbone.named_parameters():
        if "layer_scale" in name:
            nn.init.uniform_(parameter, 0.2, 0.6)
        elif name.endswith("bias"):
            nn.init.normal_(parameter, 0, 0.3)
    return backbone.eval()


def image(*size, batch=1):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def maps(backbone, x, fast=True):
    ops.enable(fast)
    try:
        return backbone(x)
    finally:
        ops.enable(True)


def deviation(result, expected):
    """Largest relative deviation of the four maps."""
    return max(((a - b).norm() / b.norm()).item() for a, b in zip(result, expected, strict=True))


@pytest.fixture(params=["oneDNN", "torch", "AVX2"])
def way(request, monkeypatch):
    """Run the blocks in one of the ways there are, whatever the processor."""
    if request.param == "AVX2" and fold_avx2.kernel is None:
        pytest.skip("there is no numba")
    monkeypatch.setattr(fold_avx2, "suits", lambda *_: request.param == "AVX2")
    if request.param == "torch":
        monkeypatch.setattr(fold, "_fuses", lambda *_: False)


@pytest.mark.parametrize(
    ("batch", "size"), [(1, (64, 64)), (2, (32, 96)), (1, (65, 47)), (2, (7, 30))]
)
def test_folded_maps_equal_the_plain_ones(backbone, batch, size, way):
    x = image(*size, batch=batch)
    result, expected = maps(backbone, x), maps(backbone, x, fast=False)
    assert 0 < deviation(result, expected) < 1e-5  # not 0: another computation
    assert [m.shape for m in result] == [m.shape for m in expected]


@pytest.mark.parametrize(
    ("batch", "height", "rows"), [(1, 112, 9), (2, 112, 9), (1, 52, 1)], ids=str
)
def test_bands_of_rows_give_the_same_maps(backbone, batch, height, rows, way, monkeypatch):
    x = image(height, 96, batch=batch)  # 28 rows in the first stage, or three times 4 and 1
    for module in (fold, fold_avx2):
        monkeypatch.setattr(module, "BAND_BYTES", 8 * 8 * 24 * 4 * rows)
    assert deviation(maps(backbone, x), maps(backbone, x, fast=False)) < 1e-5


def test_only_processors_without_avx512_have_blocks_of_their_own(backbone, monkeypatch):
    kinds = []
    for capability in ("AVX2", "AVX512", "DEFAULT"):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda c=capability: c)
        kinds.append(type(fold.FoldedMSCAN(backbone.stages(), torch.float32).stages[0][1]))
    numba_is_there = fold_avx2.kernel is not None
    assert kinds == [
        fold_avx2.Stage if numba_is_there else fold.FoldedStage,
        fold.FoldedStage,
        fold.FoldedStage,
    ]


def test_the_image_is_not_overwritten(backbone, way):
    x = image(64, 64)
    before = x.clone()
    maps(backbone, x)
    assert torch.equal(x, before)


def test_folding_is_exact_in_double(backbone):
    backbone.double()
    x = image(64, 64).double()
    assert deviation(maps(backbone, x), maps(backbone, x, fast=False)) < 1e-13


def test_bfloat16_maps_deviate_by_little_more_than_the_plain_ones_do(backbone):
    x = image(64, 96)
    expected = maps(backbone, x, fast=False)
    with torch.autocast("cpu", torch.bfloat16):
        result, plain = maps(backbone, x), maps(backbone, x, fast=False)
    assert result[0].dtype == torch.bfloat16
    # The residual stream is bfloat16 too, which plain autocast leaves in float32.
    assert deviation(result, expected) < min(0.02, 2.5 * deviation(plain, expected))


def change_in_place(backbone):
    with torch.no_grad():
        backbone.block3[1].mlp.fc2.weight.mul_(1.5)


def change_a_statistic(backbone):
    backbone.block1[0].norm1.running_mean.add_(1)


def load_weights(backbone):
    backbone.load_state_dict({key: 1.1 * value for key, value in backbone.state_dict().items()})


def swap_as_averaged_weights_are(backbone):
    backbone.train()
    for parameter in backbone.parameters():
        parameter.data.copy_(0.9 * parameter.data)
    backbone.eval()


def average_as_teachers_are(backbone):
    for parameter in backbone.parameters():
        parameter.data.mul_(0.5).add_(0.1 * torch.ones_like(parameter), alpha=0.5)


def replace_the_data(backbone):
    for parameter in backbone.parameters():
        parameter.data = 0.9 * parameter.data


def shift_a_statistic_s_data(backbone):
    backbone.block2[0].norm2.running_mean.data.add_(1)


def prune_an_output(backbone):
    backbone.block3[1].attn.proj_2.weight.data[5] = 0


def prune_an_input(backbone):
    backbone.block3[1].mlp.fc1.weight.data[:, 7] = 0


def replace_a_parameter(backbone):
    block = backbone.block1[0]
    block.layer_scale_1 = nn.Parameter(2 * block.layer_scale_1.detach())


def replace_a_module(backbone):
    attn = backbone.block1[0].attn
    torch.manual_seed(1)
    attn.proj_1 = type(attn.proj_1)(8, 8, 1)


CHANGES = [
    *(change_in_place, change_a_statistic, load_weights, swap_as_averaged_weights_are),
    *(average_as_teachers_are, replace_the_data, shift_a_statistic_s_data, prune_an_output),
    *(prune_an_input, replace_a_parameter, replace_a_module),
]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_weights_are_used_at_once(backbone, change):
    x = image(32, 64)
    before = maps(backbone, x)
    change(backbone)
    result = maps(backbone, x)
    assert deviation(result, maps(backbone, x, fast=False)) < 1e-5
    assert deviation(result, before) > 1e-3
    assert torch.equal(maps(backbone, x)[3], result[3])  # folded, and kept


class Adapted(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x) + 0.5 * x


class ShiftedPointwise(PointwiseConv2d):
    def forward(self, x):
        return super().forward(x) + 1


def another_activation(backbone):
    backbone.block1[0].mlp.act = nn.ReLU()


def another_gelu(backbone):
    backbone.block1[0].attn.activation = nn.GELU("tanh")


def a_wrapper(backbone):
    backbone.block4[0].attn.proj_2 = Adapted(backbone.block4[0].attn.proj_2)


def a_subclass(backbone):
    mlp = backbone.block2[0].mlp
    other = ShiftedPointwise(16, mlp.fc1.out_channels, 1)
    other.load_state_dict(mlp.fc1.state_dict())
    mlp.fc1 = other


def a_patched_forward(backbone):
    attn = backbone.block2[0].attn
    attn.forward = lambda x: 2 * x


def a_norm_in_training(backbone):
    backbone.block3[0].norm1.train()


def no_bias(backbone):
    backbone.patch_embed2.proj.bias = None


def a_deeper_stem(backbone):
    proj = backbone.patch_embed1.proj
    torch.manual_seed(1)
    added = [nn.GELU(), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)]
    backbone.patch_embed1.proj = nn.Sequential(*proj, *added).eval()


def dilated(backbone):
    proj = backbone.patch_embed2.proj
    proj.dilation = proj.padding = (2, 2)


def reflected(backbone):
    old = backbone.patch_embed3.proj
    new = nn.Conv2d(16, 24, 3, stride=2, padding=1, padding_mode="reflect")
    new.load_state_dict(old.state_dict())
    backbone.patch_embed3.proj = new


OTHERS = [
    *(another_activation, another_gelu, a_wrapper, a_subclass, a_patched_forward, no_bias),
    *(a_deeper_stem, dilated, reflected, a_norm_in_training),
]


@pytest.mark.parametrize("change", OTHERS)
def test_parts_of_other_kinds_are_called(backbone, change):
    x = image(32, 64)
    before = maps(backbone, x)
    change(backbone)
    result = maps(backbone, x)
    assert torch.equal(result[3], maps(backbone, x, fast=False)[3])
    assert deviation(result, before) > 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_backbone_may_be_of_half_precision(backbone, dtype):
    x = image(64, 96)
    expected = maps(backbone, x, fast=False)
    result = maps(backbone.to(dtype), x.to(dtype))
    assert {each.dtype for each in result} == {dtype}
    assert deviation([each.float() for each in result], expected) < 0.05


def test_weights_of_another_dtype_are_used_at_once(backbone):
    maps(backbone, image(32, 32))
    assert maps(backbone.double(), image(32, 32).double())[0].dtype == torch.float64


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_fold_their_own_weights(backbone, copied):
    x = image(32, 32)
    before = maps(backbone, x)
    other = copied(backbone)
    change_in_place(other)
    assert deviation(maps(other, x), maps(other, x, fast=False)) < 1e-5
    assert deviation(maps(backbone, x), before) == 0


def test_hooks_inside_the_backbone_are_called(backbone):
    x = image(32, 32)
    maps(backbone, x)
    seen = []
    handle = backbone.block2[0].attn.register_forward_hook(lambda *args: seen.append(args[2].shape))
    maps(backbone, x)
    assert seen == [(1, 16, 4, 4)]
    handle.remove()
    assert deviation(maps(backbone, x), maps(backbone, x, fast=False)) > 0


def test_gradients_in_evaluation_go_the_plain_way(backbone):
    x = image(32, 32).requires_grad_()
    result = backbone(x)
    assert torch.equal(result[3], maps(backbone, x, fast=False)[3])
    assert torch.autograd.grad(result[3].sum(), x)[0].abs().sum() > 0


def test_folding_lets_malloc_keep_the_memory_of_an_image_once(backbone, monkeypatch):
    calls = []
    monkeypatch.setattr(fold, "keep_memory_of_images", lambda: calls.append(1))
    with torch.no_grad():
        for _ in range(2):
            backbone(torch.rand(1, 3, 64, 64))
    assert len(calls) == 1


def test_weights_that_replace_others_are_folded_anew(tiny_model):
    torch.manual_seed(0)
    model = MODELS.build(tiny_model).eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        model(images)
        state = {k: v + 0.1 if v.is_floating_point() else v for k, v in model.state_dict().items()}
        model.load_state_dict(state, assign=True)
        found = model(images)
        with ops.plain():
            expected = model(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", torch.channels_last), ("meta", torch.contiguous_format)]
)
def test_folded_weights_lie_as_maps_do_on_their_device(backbone, device, expected):
    # On a GPU, for which "meta" stands, cuDNN would make maps channels_last if the weights were.
    stem = fold.FoldedMSCAN(backbone.to(device).stages(), torch.float32).stages[0][0][0]
    assert stem.weight.is_contiguous(memory_format=expected)
