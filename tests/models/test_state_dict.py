"""The names and shapes of the released checkpoints, for the four sizes that the configs build."""

from pathlib import Path

import pytest
import torch

from mmseg.config import load_config
from mmseg.registry import MODELS

CONFIGS = Path(__file__).parents[2] / "local_configs/segnext"
# embed_dims, depths, width of the decoder, rank, million parameters with 150 classes
SIZES = {
    "tiny": ((32, 64, 160, 256), (3, 3, 5, 2), 256, 16, 4.26),
    "small": ((64, 128, 320, 512), (2, 2, 4, 2), 256, 16, 13.93),
    "base": ((64, 128, 320, 512), (3, 3, 12, 3), 512, 64, 27.64),
    "large": ((64, 128, 320, 512), (3, 5, 27, 3), 1024, 64, 48.93),
}
MLP_RATIOS = (8, 8, 4, 4)
STRIPS = {
    **{"conv0": (5, 5), "conv0_1": (1, 7), "conv0_2": (7, 1), "conv1_1": (1, 11)},
    **{"conv1_2": (11, 1), "conv2_1": (1, 21), "conv2_2": (21, 1)},
}


@pytest.fixture(params=SIZES, scope="module")
def size(request):
    return request.param


@pytest.fixture(scope="module")
def model(size):
    config = load_config(CONFIGS / size / f"segnext.{size}.512x512.ade.160k.py")
    with torch.device("meta"):
        return MODELS.build(config.model)


def conv(name, out_channels, in_channels, kernel=(1, 1), bias=True):
    shapes = {f"{name}.weight": (out_channels, in_channels, *kernel)}
    return {**shapes, f"{name}.bias": (out_channels,)} if bias else shapes


def affine(name, channels):
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def batch_norm(name, channels):
    statistics = {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
    return {**affine(name, channels), **statistics, f"{name}.num_batches_tracked": ()}


def block(name, channels, hidden):
    gate = f"{name}.attn.spatial_gating_unit"
    shapes = {f"{name}.layer_scale_1": (channels,), f"{name}.layer_scale_2": (channels,)}
    shapes |= batch_norm(f"{name}.norm1", channels) | batch_norm(f"{name}.norm2", channels)
    for projection in ("proj_1", "proj_2", "spatial_gating_unit.conv3"):
        shapes |= conv(f"{name}.attn.{projection}", channels, channels)
    for strip, kernel in STRIPS.items():
        shapes |= conv(f"{gate}.{strip}", channels, 1, kernel)
    shapes |= conv(f"{name}.mlp.fc1", hidden, channels)
    shapes |= conv(f"{name}.mlp.dwconv.dwconv", hidden, 1, (3, 3))
    return shapes | conv(f"{name}.mlp.fc2", channels, hidden)


def backbone(dims, depths):
    half = dims[0] // 2
    shapes = conv("patch_embed1.proj.0", half, 3, (3, 3)) | batch_norm("patch_embed1.proj.1", half)
    shapes |= conv("patch_embed1.proj.3", dims[0], half, (3, 3))
    shapes |= batch_norm("patch_embed1.proj.4", dims[0])
    for s in (2, 3, 4):
        shapes |= conv(f"patch_embed{s}.proj", dims[s - 1], dims[s - 2], (3, 3))
        shapes |= batch_norm(f"patch_embed{s}.norm", dims[s - 1])
    for s, (channels, depth, ratio) in enumerate(zip(dims, depths, MLP_RATIOS, strict=True), 1):
        shapes |= affine(f"norm{s}", channels)
        for j in range(depth):
            shapes |= block(f"block{s}.{j}", channels, ratio * channels)
    return shapes


def head(dims, width, num_classes):
    shapes = conv("conv_seg", num_classes, width)
    shapes |= conv("squeeze.conv", width, sum(dims[1:]), bias=False) | affine("squeeze.gn", width)
    shapes |= conv("hamburger.ham_in.conv", width, width)
    shapes |= conv("hamburger.ham_out.conv", width, width, bias=False)
    shapes |= affine("hamburger.ham_out.gn", width)
    return shapes | conv("align.conv", width, width, bias=False) | affine("align.gn", width)


def shapes_of(module):
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def test_parameter_total_is_that_of_the_paper(size, model):
    total = sum(p.numel() for p in model.parameters())
    assert round(total / 1e6, 2) == SIZES[size][4]


def test_backbone_has_the_official_keys_and_shapes(size, model):
    dims, depths, *_ = SIZES[size]
    assert shapes_of(model.backbone) == backbone(dims, depths)


def test_head_has_the_official_keys_and_shapes_and_no_bases(size, model):
    dims, _, width, *_ = SIZES[size]
    assert shapes_of(model.decode_head) == head(dims, width, 150)


def test_model_adds_nothing_to_backbone_and_head(model):
    assert {key.split(".")[0] for key in model.state_dict()} == {"backbone", "decode_head"}


def test_rank_is_the_official_one_of_the_size(size, model):
    assert model.decode_head.hamburger.ham.rank == SIZES[size][3]
