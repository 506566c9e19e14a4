"""NMF2D and LightHamHead: the factorisation, what is random and what is not."""

import pytest
import torch
import torch.nn.functional as F

from mmseg.errors import UserError
from mmseg.models.decode_heads.ham_head import NMF2D
from mmseg.registry import MODELS


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    return MODELS.build(tiny_model).eval()


@pytest.fixture
def images():
    return torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def product(nmf, x):
    """Return the map of low rank, (B, D, H, W)."""
    bases, coef = nmf(x)
    return (bases @ coef.transpose(1, 2)).view(x.shape)


@pytest.mark.parametrize("training", [True, False])
def test_starting_bases_have_length_one_over_the_channels(training):
    bases = NMF2D(24, rank=5).train(training).build_bases(3)
    assert bases.shape == (3, 24, 5)
    assert bases.dtype == torch.float32
    torch.testing.assert_close(bases.norm(dim=1), torch.ones(3, 5))


def test_fixed_bases_leave_the_global_random_state_alone(model, images):
    before = torch.random.get_rng_state()
    NMF2D(16, rank=4)
    with torch.no_grad():
        model(images)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_evaluation_starts_from_the_same_bases_for_every_image_and_global_seed():
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results += NMF2D(16, rank=4).eval().build_bases(2)
    assert all(torch.equal(bases, results[0]) for bases in results)


def test_training_starts_from_fresh_bases_for_every_image_and_step():
    nmf = NMF2D(16, rank=4).train()
    first, second = (nmf.build_bases(2) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("training", [True, False])
def test_factorisation_of_huge_activations_of_a_large_image_is_finite(training, dtype):
    nmf = NMF2D(16, rank=8).train(training)
    x = (1e4 * torch.rand(1, 16, 128, 128)).to(dtype)
    x[:, :, ::3] = 0
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        result = product(nmf, x)
        (grad,) = torch.autograd.grad(result.sum(), x)
    assert torch.isfinite(result).all()
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_maps_are_factorised_in_float32(dtype):
    nmf = NMF2D(16, rank=4).eval()
    x = torch.rand(2, 16, 8, 8).to(dtype)
    expected = nmf(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        result = nmf(x)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_head_gives_logits_at_the_size_of_its_first_map(model):
    sizes = ((16, 24, 32), (12, 6, 3))
    maps = [torch.rand(2, 8, 24, 24)] + [
        torch.rand(2, c, s, s) for c, s in zip(*sizes, strict=True)
    ]
    assert model.decode_head(maps).shape == (2, 3, 12, 12)


@pytest.mark.parametrize("kwargs", [{"MD_r": 16}, {"MD_R": 16, "MD_T": 1}])
def test_a_misspelt_rank_is_refused(tiny_model, kwargs):
    tiny_model["decode_head"]["ham_kwargs"] = kwargs
    with pytest.raises(UserError, match=r"ham_kwargs=.*: give dict\(MD_R=...\)"):
        MODELS.build(tiny_model)


def head_of_the_paper(head, maps):
    """Compute a head in the order of the paper's figure: one map of all levels, then each layer."""
    levels = [maps[i] for i in head.in_index]
    options = {"mode": "bilinear", "align_corners": head.align_corners}
    levels = [F.interpolate(x, levels[0].shape[2:], **options) for x in levels]
    x = head.squeeze(torch.cat(levels, 1))
    context = product(head.hamburger.ham, F.relu(head.hamburger.ham_in(x)))
    x = F.relu(x + head.hamburger.ham_out(context.to(x.dtype)))
    return head.conv_seg(head.align(x))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("norm_cfg", [{"type": "GN", "num_groups": 4}, {"type": "BN"}, None])
def test_logits_and_gradients_are_those_of_the_papers_order(
    tiny_model, training, norm_cfg, align_corners
):
    torch.manual_seed(0)
    config = {**tiny_model["decode_head"], "norm_cfg": norm_cfg, "align_corners": align_corners}
    head = MODELS.build(config).train(training).double()
    torch.nn.init.normal_(head.conv_seg.weight)
    maps = [
        torch.rand(2, c, s, s + 1).double()
        for c, s in zip((8, 16, 24, 32), (24, 12, 6, 3), strict=True)
    ]
    results = []
    for forward in (head, lambda maps: head_of_the_paper(head, maps)):
        torch.manual_seed(1)  # of the starting bases
        logits = forward(maps)
        grads = torch.autograd.grad(logits.square().sum(), list(head.parameters()))
        results.append((logits, *grads))
    for result, expected in zip(*results, strict=True):
        # The starting bases, and with them the factors, are float32.
        assert (result - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize("name", ["squeeze.gn", "hamburger", "hamburger.ham_in", "align.conv"])
def test_hooks_inside_the_head_are_called(model, images, name):
    seen = []
    model.decode_head.get_submodule(name).register_forward_hook(lambda *args: seen.append(args[2]))
    model(images)
    assert [each.shape[2:] for each in seen] == [(8, 12)]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float16, 0.03), (torch.bfloat16, 0.2), (torch.float64, 1e-4)]
)
def test_a_model_may_be_of_another_precision(model, images, dtype, tolerance):
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    expected = model(images)
    result = model.to(dtype)(images.to(dtype))
    assert (result - expected).abs().max() < tolerance * expected.abs().max()
    result.sum().backward()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.rand(1, 16, 8, 8), "the backbone returned a tensor; a tuple of maps"),
        ([torch.rand(1, c, 8, 8) for c in (8, 16, 24)], r"maps have \[8, 16, 24\] channels; .*3\]"),
        ([torch.rand(1, c, 8, 8) for c in (8, 16, 24, 48)], r"in_channels=\[16, 24, 32\] ask for"),
    ],
)
def test_maps_of_another_backbone_are_named(model, features, message):
    with pytest.raises(UserError, match=message):
        model.decode_head(features)


@pytest.mark.parametrize(
    ("index", "channels"), [((1, 2, 7), (16, 24)), ((-5, -2, -1), (24, 32)), ((1, 2), (24, 16))]
)
def test_indices_and_widths_that_the_encoder_does_not_have_are_named(model, index, channels):
    head = model.decode_head
    head.in_index, head.in_channels = index, channels
    with pytest.raises(UserError, match=r"maps have \[8, 16, 24, 32\] channels; .* ask for others"):
        head.features([torch.zeros(1, width, 4, 4) for width in (8, 16, 24, 32)])


def test_own_heads_get_their_maps_and_change_their_size(model):
    maps = [torch.rand(1, c, s, s) for c, s in zip((8, 16, 24, 32), (24, 12, 6, 3), strict=True)]
    head = model.decode_head
    assert [x.shape[1:] for x in head.features(maps)] == [(16, 12, 12), (24, 6, 6), (32, 3, 3)]
    expected = F.interpolate(maps[2], (12, 12), mode="bilinear")
    torch.testing.assert_close(head.resize(maps[2], (12, 12)), expected)
