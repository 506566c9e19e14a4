"""MSCAN with batch norm and layer scale folded into its convolutions, for inference.

Write norm(x) = a x + b per channel. Then a block of MSCAN is

    y   = x + s1 (norm1(x) + proj_2(u)),  u = gate(GELU(proj_1(norm1(x))))
        = (1 + s1 a1) x + s1 b1 + s1 proj_2(u)
    out = y + s2 fc2(GELU(dwconv(fc1(norm2(y)))))

- norm1 goes into proj_1. The shortcut starts at the normalised input, so norm1 also becomes a
  factor of x and a part of the bias of proj_2.
- norm2 goes into fc1. Both are exact, because 1x1 convolutions have no padding.
- s1 goes into proj_2, and s2 into fc2.
- The norm after a strided convolution goes into this convolution.
"""

import copy
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmseg.checkpoints.loading import unwrap
from mmseg.environment import keep_memory_of_images
from mmseg.errors import UserError
from mmseg.inference.conv import FusedConv, onednn_computes
from mmseg.models.backbones.mscan import MSCAN
from mmseg.ops.formats import arranged, half_dtype

# On a CPU, the hidden map of an MLP is computed in bands of rows of about this size: it is up to
# eight times as wide as the input of the MLP, and a band stays in the cache. A band computes the
# row above and the row below it too, and would waste time with few rows.
BAND_BYTES = 2**22
MIN_ROWS = 4
# The random image that shows whether a fused backbone computes the same, and the share of a map's
# norm by which it may differ. TF32 on a GPU differs by 0.001.
PROBE, TOLERANCE = (64, 64), 0.02


@torch.no_grad()
def fuse(model: nn.Module) -> nn.Module:
    """Return a copy of a segmentor for inference: faster, and equal up to rounding.

    `model` is an `EncoderDecoder`, a `SegTTAModel` around one, or one of these in a distributed
    wrapper, which the copy does not have. The copy has the same interface and is in evaluation
    mode. It has no gradients, and its `train()` raises `UserError`. Its backbone computes in half
    precision if `test_cfg.amp` says so, else in the dtype of the weights. Later changes of `model`
    do not reach the copy. A model whose backbone is not exactly `MSCAN` is returned as it is. So is
    one whose copy computes something else, for example because a part of its encoder was changed,
    with a line in the log.
    """
    segmentor: Any = unwrap(model)
    backbone = getattr(segmentor, "backbone", None)
    if type(backbone) is not MSCAN:
        return model
    inner: Any = model
    while is_model_wrapper(inner):
        inner = inner.module
    fused = _fused_if_equal(backbone)
    if fused is None:
        MMLogger.get_current_instance().warning(
            "the model is not fused: a fused copy of its encoder computes something else. Was a "
            "part of the encoder changed?"
        )
        return model
    keep_memory_of_images()
    if (getattr(segmentor, "test_cfg", None) or {}).get("amp", False):
        fused.compute_in(half_dtype(backbone.norm1.weight.device.type))
    # The copy has the fused backbone in place of the plain one.
    return copy.deepcopy(inner, {id(backbone): fused}).eval().requires_grad_(False)


def _fused_if_equal(backbone: MSCAN) -> "FusedMSCAN | None":
    """Return the fused backbone if it gives the same maps of a random image, up to rounding."""
    weight = backbone.norm1.weight
    image = torch.randn(
        1, backbone.in_channels, *PROBE, generator=torch.Generator().manual_seed(0)
    ).to(weight)
    try:
        fused = FusedMSCAN(backbone)
        pairs = zip(fused(image), copy.deepcopy(backbone).eval()(image), strict=True)
        equal = all(bool((a - b).norm() <= TOLERANCE * b.norm()) for a, b in pairs)
    except (AttributeError, TypeError, RuntimeError):  # a part is of another kind
        equal = False
    return fused if equal else None


class FusedMSCAN(nn.Module):
    """An `MSCAN` in evaluation with its present weights, in their dtype."""

    stages: Any

    def __init__(self, backbone: MSCAN) -> None:
        super().__init__()
        self.stages = nn.ModuleList(FusedStage(*stage) for stage in backbone.stages())
        self.eval()

    def compute_in(self, dtype: torch.dtype) -> None:
        """Let the convolutions compute in `dtype`."""
        for stage in self.stages:
            stage.embed.to(dtype)
            stage.blocks.to(dtype)

    def train(self, mode: bool = True) -> "FusedMSCAN":
        if mode:
            raise UserError(
                "a fused model is for inference only: train the model that was given to fuse(), or "
                "call init_model(..., fused=False)"
            )
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> the maps of `MSCAN`, in the dtype of the fused convolutions."""
        x = arranged(x.to(self.stages[0].embed[0].weight.dtype))
        outs = []
        with torch.autocast(x.device.type, enabled=False):
            for stage in self.stages:
                x = stage(x)
                outs.append(x)
        return tuple(outs)


class FusedStage(nn.Module):
    """Patch embedding, blocks and layer norm of one stage."""

    embed: Any
    norm: Any

    def __init__(self, patch_embed: Any, blocks: Any, norm: nn.Module) -> None:
        super().__init__()
        if isinstance(patch_embed.proj, nn.Sequential):  # the stem
            first, first_norm, _, second, second_norm = patch_embed.proj
            embed = [_with_norm_after(first, first_norm), _with_norm_after(second, second_norm)]
        else:
            embed = [_with_norm_after(patch_embed.proj, patch_embed.norm)]
        self.embed = nn.ModuleList(embed)
        self.blocks = nn.ModuleList(FusedBlock(block) for block in blocks)
        # Layer norm keeps the precision of its weights: its sums would lose too much in half.
        self.norm = copy.deepcopy(norm)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.embed[:-1]:
            x = conv.gelu(x)
        x = self.embed[-1](x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x.to(self.norm.weight.dtype)).to(x.dtype)


class FusedBlock(nn.Module):
    """A `Block`: the formula at the top of this file."""

    shortcut: Tensor
    strips: Any

    def __init__(self, block: Any) -> None:
        super().__init__()
        attn, mlp, gate = block.attn, block.mlp, block.attn.spatial_gating_unit
        a1, b1 = _affine(block.norm1)
        s1, s2 = block.layer_scale_1, block.layer_scale_2
        self.register_buffer("shortcut", (1 + s1 * a1)[:, None, None])
        self.proj_1 = _with_norm_before(attn.proj_1, block.norm1)
        self.conv0 = _copy(gate.conv0)
        strips = (
            (gate.conv0_1, gate.conv0_2),
            (gate.conv1_1, gate.conv1_2),
            (gate.conv2_1, gate.conv2_2),
        )
        self.strips = nn.ModuleList(nn.ModuleList(map(_copy, pair)) for pair in strips)
        self.conv3 = _copy(gate.conv3)
        self.proj_2 = _scaled(attn.proj_2, s1, s1 * (attn.proj_2.bias + b1))
        self.fc1 = _with_norm_before(mlp.fc1, block.norm2)
        self.dwconv = _copy(mlp.dwconv.dwconv)
        self.fc2 = _scaled(mlp.fc2, s2, s2 * mlp.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        u = self.proj_1.gelu(x)
        attn = self.conv0(u)
        total = attn.clone()
        for first, second in self.strips:
            total = second.add_to(total, first(attn))
        x = self.proj_2.add_to(x * self.shortcut, self.conv3.times(total, u))
        return self._add_mlp(x)

    def _add_mlp(self, x: Tensor) -> Tensor:
        """Return x plus its MLP; x is overwritten."""
        height, width = x.shape[2:]
        row_bytes = len(self.fc1.bias) * width * x.element_size()
        rows = max(MIN_ROWS, BAND_BYTES // row_bytes)
        if rows >= height or not onednn_computes(x):
            return self.fc2.add_to(x, self.dwconv.gelu(self.fc1(x)))
        result = x.clone()
        for image, target in zip(x.split(1), result.split(1), strict=True):
            for top in range(0, height, rows):
                end = min(top + rows, height)
                first = max(top - 1, 0)  # the 3x3 convolution reaches one row beyond the band
                inner = self.dwconv.gelu(self.fc1(image[:, :, first : end + 1]))
                inner = inner[:, :, top - first : end - first]
                self.fc2.add_to(target[:, :, top:end], inner)
        return result


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Return a and b (C,) of norm(x) = a x + b."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - scale * norm.running_mean


def _copy(conv: Any) -> FusedConv:
    return FusedConv(conv, conv.weight, conv.bias)


def _scaled(conv: Any, scale: Tensor, bias: Tensor) -> FusedConv:
    return FusedConv(conv, conv.weight * scale[:, None, None, None], bias)


def _with_norm_after(conv: Any, norm: Any) -> FusedConv:
    a, b = _affine(norm)
    return _scaled(conv, a, a * conv.bias + b)


def _with_norm_before(conv: Any, norm: Any) -> FusedConv:
    a, b = _affine(norm)
    return FusedConv(conv, conv.weight * a[:, None, None], conv.bias + conv.weight.flatten(1) @ b)
