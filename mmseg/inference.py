"""Make a trained network ready for inference: batch norm and layer scale go into its convolutions.

Write norm(x) = a x + b per channel. Then a block of MSCAN is

    y   = x + s1 (norm1(x) + proj_2(u)),  u = gate(GELU(proj_1(norm1(x))))
        = (1 + s1 a1) x + s1 b1 + s1 proj_2(u)
    out = y + s2 fc2(GELU(dwconv(fc1(norm2(y)))))

norm1 goes into proj_1, the factor of x and the bias of proj_2; norm2 goes into fc1, s1 into proj_2
and s2 into fc2. The norm after a strided convolution goes into this convolution.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import fuse_conv_bn
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmseg.checkpoints.loading import unwrap
from mmseg.environment import keep_memory_of_images
from mmseg.errors import UserError
from mmseg.models.backbones.mscan import MSCAN
from mmseg.ops.device import arranged, half_dtype

# The random image that shows whether a fused backbone computes the same, and the share of a map's
# norm by which it may differ. TF32 on a GPU differs by 0.001.
PROBE, TOLERANCE = (64, 64), 0.02


@torch.no_grad()
def fuse(model: Any) -> nn.Module:
    """Return a copy of a segmentor for inference: faster, and equal up to rounding.

    `model` is an `EncoderDecoder`, a `SegTTAModel` around one, or one of these in a distributed
    wrapper, which the copy does not have. The copy has the same interface and is in evaluation
    mode. It has no gradients, and its `train()` raises `UserError`. Its backbone computes in half
    precision if `test_cfg.amp` says so, else in the dtype of the weights. A model whose backbone is
    not exactly `MSCAN` is returned as it is. So is one whose encoder was changed or has hooks, with
    a line in the log.
    """
    segmentor: Any = unwrap(model)
    backbone = getattr(segmentor, "backbone", None)
    if type(backbone) is not MSCAN:
        return model
    fused = _fused(backbone)
    if fused is None:
        text = "the model is not fused: a part of its encoder was changed, or has a hook"
        MMLogger.get_current_instance().warning(text)
        return model
    keep_memory_of_images()
    if (getattr(segmentor, "test_cfg", None) or {}).get("amp", False):
        fused.to(half_dtype(backbone.norm1.weight.device.type))
    return exchanged(model, backbone, fused).eval().requires_grad_(False)


def around_same_weights(model: Any) -> Any:
    """Return a copy of a model whose weights lie in the memory of the model's own."""
    memo = {id(x): nn.Parameter(x.detach(), x.requires_grad) for x in model.parameters()}
    return copy.deepcopy(model, memo | {id(x): x for x in model.buffers()})


def exchanged(model: Any, part: nn.Module, other: nn.Module) -> nn.Module:
    """Return a copy of a model with `other` in the place of a part, and no parallel wrapper."""
    while is_model_wrapper(model):
        model = model.module
    return copy.deepcopy(model, {id(part): other})


def _fused(backbone: MSCAN) -> "FusedMSCAN | None":
    """Return a fused copy that gives the same maps of a random image, None if there is none."""
    if any(each._forward_hooks or each._forward_pre_hooks for each in backbone.modules()):
        return None
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, backbone.in_channels, *PROBE, generator=generator)
    image, plain = image.to(backbone.norm1.weight), around_same_weights(backbone).eval()
    try:
        fused = FusedMSCAN(copy.deepcopy(plain))
        pairs = zip(fused(image), plain(image), strict=True)
        equal = all(bool((a - b).norm() <= TOLERANCE * b.norm()) for a, b in pairs)
    except (AttributeError, TypeError, ValueError, RuntimeError):  # a part is of another kind
        return None
    return fused if equal else None


class FusedMSCAN(nn.Module):
    """An `MSCAN` in evaluation, which it changes: it computes in the dtype of its weights."""

    def __init__(self, encoder: MSCAN) -> None:
        super().__init__()
        for patch_embed, blocks, _ in encoder.stages():
            fuse_conv_bn(patch_embed)
            for i, block in enumerate(blocks):
                blocks[i] = FusedBlock(block)
        self.encoder = encoder.eval()

    def train(self, mode: bool = True) -> "FusedMSCAN":
        if mode:
            hint = "train the model given to fuse(), or call init_model(..., fused=False)"
            raise UserError(f"a fused model is for inference only: {hint}")
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> the maps of `MSCAN`, in the dtype of the fused convolutions."""
        with torch.autocast(x.device.type, enabled=False):
            return self.encoder(arranged(x.to(next(self.encoder.parameters()).dtype)))


class FusedBlock(nn.Module):
    """A `Block`: the formula at the top of this file."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        attn, mlp, scale = block.attn, block.mlp, block.layer_scale_1
        a, b = _affine(block.norm1)
        self.shortcut = nn.Parameter((1 + scale * a)[:, None, None])
        self.proj_1 = _with_norm_before(attn.proj_1, block.norm1)
        self.gate = attn.spatial_gating_unit
        self.proj_2 = _scaled(attn.proj_2, scale, b)
        self.fc1 = _with_norm_before(mlp.fc1, block.norm2)
        self.dwconv = mlp.dwconv
        self.fc2 = _scaled(mlp.fc2, block.layer_scale_2)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.shortcut + self.proj_2(self.gate(F.gelu(self.proj_1(x))))
        return x + self.fc2(F.gelu(self.dwconv(self.fc1(x))))


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Return a and b (C,) of norm(x) = a x + b."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - scale * norm.running_mean


def _scaled(conv: Any, scale: Tensor, more: Tensor | float = 0.0) -> nn.Conv2d:
    """Return scale (conv(x) + more)."""
    conv.weight.mul_(scale[:, None, None, None])
    conv.bias.add_(more).mul_(scale)
    return conv


def _with_norm_before(conv: Any, norm: Any) -> nn.Conv2d:
    a, b = _affine(norm)
    conv.bias.add_(conv.weight.flatten(1) @ b)
    conv.weight.mul_(a[:, None, None])
    return conv
