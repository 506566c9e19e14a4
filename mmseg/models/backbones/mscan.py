"""MSCAN, the convolutional encoder of SegNeXt (https://arxiv.org/abs/2209.08575, section 3.1).

An image (B, 3, H, W) becomes four maps; stage s = 1..4 gives (B, C_s, H/2^(s+1), W/2^(s+1)).
Submodule names are those of the released checkpoints; tests/models/test_state_dict.py freezes them.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg.errors import UserError
from mmseg.models.layers import DepthwiseConv2d, LayerNorm2d, checkpoint
from mmseg.registry import MODELS, Count, FourCounts, FourRatios, Share


class StemConv(nn.Module):
    """(B, in, H, W) -> (B, out, H/4, W/4) by two strided 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, out_channels // 2, 3, stride=2, padding=1),
            nn.BatchNorm2d(out_channels // 2),
            nn.GELU(),
            nn.Conv2d(out_channels // 2, out_channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class OverlapPatchEmbed(nn.Module):
    """(B, in, H, W) -> (B, out, H/2, W/2) by one strided 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))


class DWConv(nn.Module):
    """A 3x3 depth-wise convolution, wrapped because checkpoints call it `dwconv.dwconv`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = DepthwiseConv2d(channels, (3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.dwconv(x)


class Mlp(nn.Module):
    """fc2(GELU(dwconv(fc1(x)))), with 1x1 convolutions as the two fully connected layers."""

    def __init__(self, channels: int, hidden_channels: int, drop_rate: float) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.dwconv = DWConv(hidden_channels)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.act(self.dwconv(self.fc1(x))))
        return self.drop(self.fc2(x))


class MSCA(nn.Module):
    """Multi-scale convolutional attention: x * conv1x1(sum of four branches), equation 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = DepthwiseConv2d(channels, (5, 5))
        self.conv0_1 = DepthwiseConv2d(channels, (1, 7))
        self.conv0_2 = DepthwiseConv2d(channels, (7, 1))
        self.conv1_1 = DepthwiseConv2d(channels, (1, 11))
        self.conv1_2 = DepthwiseConv2d(channels, (11, 1))
        self.conv2_1 = DepthwiseConv2d(channels, (1, 21))
        self.conv2_2 = DepthwiseConv2d(channels, (21, 1))
        self.conv3 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        attn = self.conv0(x)
        branch_7 = self.conv0_2(self.conv0_1(attn))
        branch_11 = self.conv1_2(self.conv1_1(attn))
        branch_21 = self.conv2_2(self.conv2_1(attn))
        return x * self.conv3(attn + branch_7 + branch_11 + branch_21)


class SpatialAttention(nn.Module):
    """x + proj_2(MSCA(GELU(proj_1(x)))); x is the normalised input of the block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = MSCA(channels)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x))))


class Block(nn.Module):
    """Attention, then MLP, each normalised before and scaled per channel after, with residuals."""

    def __init__(self, channels: int, mlp_ratio: float, drop_rate: float, drop_path: float) -> None:
        super().__init__()
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), 1e-2))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), 1e-2))
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = SpatialAttention(channels)
        self.norm2 = nn.BatchNorm2d(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop_rate)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._scale(self.layer_scale_1, x) * self.attn(self.norm1(x))
        return x + self._scale(self.layer_scale_2, x) * self.mlp(self.norm2(x))

    def _scale(self, scale: Tensor, x: Tensor) -> Tensor:
        """Return the factor of a branch; in training it is 0 for images that drop the branch."""
        scale = scale[:, None, None]
        return self.drop_path(scale.expand(x.shape[0], -1, -1, -1)) if self.training else scale


@MODELS.register_module()
class MSCAN(BaseModule):
    """The encoder: (B, in_channels, H, W) -> four maps at 1/4, 1/8, 1/16 and 1/32 of H and W.

    The rate of stochastic depth rises linearly over the blocks from 0 to `drop_path_rate`.
    `with_cp` keeps only the inputs of the blocks and computes their insides again in the backward
    pass: less memory, about a third more time.
    """

    def __init__(
        self,
        embed_dims: FourCounts,
        depths: FourCounts,
        mlp_ratios: FourRatios = (8, 8, 4, 4),
        drop_rate: float = 0.0,
        drop_path_rate: Share = 0.0,
        in_channels: Count = 3,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp = with_cp
        self.in_channels = in_channels
        drop_paths = iter(np.linspace(0, drop_path_rate, sum(depths)).tolist())
        sizes = zip(embed_dims, depths, mlp_ratios, strict=True)
        for stage, (channels, depth, mlp_ratio) in enumerate(sizes, start=1):
            embed = StemConv if stage == 1 else OverlapPatchEmbed
            blocks = [Block(channels, mlp_ratio, drop_rate, next(drop_paths)) for _ in range(depth)]
            self.add_module(f"patch_embed{stage}", embed(in_channels, channels))
            self.add_module(f"block{stage}", nn.ModuleList(blocks))
            self.add_module(f"norm{stage}", LayerNorm2d(channels))
            in_channels = channels
        self.num_stages = len(depths)

    def stages(self) -> Iterator[tuple[nn.Module, nn.ModuleList, nn.Module]]:
        """Yield patch embedding, blocks and norm of each stage."""
        for stage in range(1, self.num_stages + 1):
            yield tuple(self.get_submodule(f"{n}{stage}") for n in ("patch_embed", "block", "norm"))

    def fill_convolutions(self) -> None:
        """Fill convolutions from N(0, 2 / fan_out)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                nn.init.zeros_(module.bias)

    def init_weights(self) -> None:
        """Fill the convolutions, then load the weights of `init_cfg`."""
        self.fill_convolutions()
        super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.training and x.shape[0] == 1 and max(x.shape[2:]) <= 2 ** (self.num_stages + 1):
            raise UserError(
                f"a batch of one image of {x.shape[3]}x{x.shape[2]} ends in one pixel, from which "
                "batch norm learns nothing: train with larger crops or a larger batch"
            )
        outs = []
        for patch_embed, blocks, norm in self.stages():
            x = patch_embed(x)
            for block in blocks:
                x = checkpoint(block, x) if self.with_cp and self.training else block(x)
            outs.append(x := norm(x))  # the next stage starts from it, as in the official code
        return tuple(outs)
