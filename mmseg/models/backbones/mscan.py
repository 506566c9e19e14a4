"""MSCAN, the convolutional encoder of SegNeXt (https://arxiv.org/abs/2209.08575, section 3.1).

An image (B, 3, H, W) becomes four maps; stage s = 1..4 gives (B, C_s, H/2^(s+1), W/2^(s+1)):

    size     C_1..C_4            blocks per stage
    tiny     32, 64, 160, 256    3, 3, 5, 2
    small    64, 128, 320, 512   2, 2, 4, 2
    base     64, 128, 320, 512   3, 3, 12, 3
    large    64, 128, 320, 512   3, 5, 27, 3

Submodule names are those of the released checkpoints; tests/models/test_state_dict.py freezes them.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg import ops
from mmseg.models.layers import BatchNorm2d, LayerNorm2d, PointwiseConv2d, checkpoint
from mmseg.ops import triton
from mmseg.ops.depthwise import depthwise_conv2d
from mmseg.ops.fold import FoldedMSCAN, Folding, Parts
from mmseg.ops.precision import compute_dtype
from mmseg.registry import MODELS

LAYER_SCALE_INIT = 1e-2
# glibc returns blocks of so many bytes to the kernel and gets zeroed pages for the next ones.
RETURNED_BLOCK = 2**25


class DepthwiseConv2d(nn.Conv2d):
    """A depth-wise convolution that keeps the size of its input; see `mmseg.ops.depthwise`."""

    def __init__(self, channels: int, kernel_size: tuple[int, int]) -> None:
        padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        super().__init__(channels, channels, kernel_size, padding=padding, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv2d(x, self.weight, self.bias)


class StemConv(nn.Module):
    """(B, in, H, W) -> (B, out, H/4, W/4) by two strided 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, out_channels // 2, 3, stride=2, padding=1),
            BatchNorm2d(out_channels // 2),
            nn.GELU(),
            nn.Conv2d(out_channels // 2, out_channels, 3, stride=2, padding=1),
            BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class OverlapPatchEmbed(nn.Module):
    """(B, in, H, W) -> (B, out, H/2, W/2) by one strided 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.norm = BatchNorm2d(out_channels)

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
        self.fc1 = PointwiseConv2d(channels, hidden_channels, 1)
        self.dwconv = DWConv(hidden_channels)
        self.act = nn.GELU()
        self.fc2 = PointwiseConv2d(hidden_channels, channels, 1)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x[:, :1].numel() * self.fc1.out_channels * x.element_size()
        if x.device.type == "cpu" and hidden >= RETURNED_BLOCK and len(x) > 1 and ops.enabled():
            return torch.cat([self._forward(image) for image in x.split(1)])
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
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
        self.conv3 = PointwiseConv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        attn = self.conv0(x)
        branch_7 = self.conv0_2(self.conv0_1(attn))
        branch_11 = self.conv1_2(self.conv1_1(attn))
        branch_21 = self.conv2_2(self.conv2_1(attn))
        return x * self.conv3(branch_7.add_(attn).add_(branch_11).add_(branch_21))


class SpatialAttention(nn.Module):
    """x + proj_2(MSCA(GELU(proj_1(x)))); x is the normalised input of the block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj_1 = PointwiseConv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.spatial_gating_unit = MSCA(channels)
        self.proj_2 = PointwiseConv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x))))


class Block(nn.Module):
    """Attention, then MLP, each normalised before and scaled per channel after, with residuals."""

    def __init__(self, channels: int, mlp_ratio: float, drop_rate: float, drop_path: float) -> None:
        super().__init__()
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), LAYER_SCALE_INIT))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), LAYER_SCALE_INIT))
        self.norm1 = BatchNorm2d(channels)
        self.attn = SpatialAttention(channels)
        self.norm2 = BatchNorm2d(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio), drop_rate)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self._add(x, self.layer_scale_1, self.attn(self.norm1(x)))
        return self._add(x, self.layer_scale_2, self.mlp(self.norm2(x)))

    def _add(self, x: Tensor, scale: Tensor, branch: Tensor) -> Tensor:
        """Return x + drop_path(scale * branch): the scale of a dropped path is 0."""
        kept = self.drop_path(scale.new_ones(len(x), 1, 1, 1))
        # Adding in place saves a map: nothing else needs what is overwritten.
        return (kept * scale[:, None, None] * branch).add_(x)


NORMS = (BatchNorm2d, nn.BatchNorm2d, nn.SyncBatchNorm)
# What the parts of a stage are made of: so, and no otherwise, they can be folded.
PARTS: Parts = {
    StemConv: [(nn.Sequential,)],
    nn.Sequential: [(nn.Conv2d,), NORMS, (nn.GELU,), (nn.Conv2d,), NORMS],
    OverlapPatchEmbed: [(nn.Conv2d,), NORMS],
    Block: [NORMS, (SpatialAttention,), NORMS, (Mlp,), (DropPath,)],
    SpatialAttention: [(PointwiseConv2d,), (nn.GELU,), (MSCA,), (PointwiseConv2d,)],
    MSCA: [*[(DepthwiseConv2d,)] * 7, (PointwiseConv2d,)],
    Mlp: [(PointwiseConv2d,), (DWConv,), (nn.GELU,), (PointwiseConv2d,), (nn.Dropout,)],
    DWConv: [(DepthwiseConv2d,)],
    LayerNorm2d: [],
}


@MODELS.register_module()
class MSCAN(BaseModule):
    """The encoder: (B, in_channels, H, W) -> four maps at 1/4, 1/8, 1/16 and 1/32 of H and W.

    The rate of stochastic depth rises linearly over the blocks from 0 to `drop_path_rate`.
    `with_cp` keeps only the inputs of the blocks and computes their insides again in the backward
    pass: less memory, about a third more time.
    """

    def __init__(
        self,
        embed_dims: Sequence[int],
        depths: Sequence[int],
        mlp_ratios: Sequence[float] = (8, 8, 4, 4),
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        in_channels: int = 3,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp = with_cp
        drop_paths = iter(np.linspace(0, drop_path_rate, sum(depths)).tolist())
        for stage, (channels, depth, mlp_ratio) in enumerate(
            zip(embed_dims, depths, mlp_ratios, strict=True), start=1
        ):
            embed = StemConv if stage == 1 else OverlapPatchEmbed
            blocks = [Block(channels, mlp_ratio, drop_rate, next(drop_paths)) for _ in range(depth)]
            self.add_module(f"patch_embed{stage}", embed(in_channels, channels))
            self.add_module(f"block{stage}", nn.ModuleList(blocks))
            self.add_module(f"norm{stage}", LayerNorm2d(channels))
            in_channels = channels
        self.num_stages = len(depths)
        self._folding = Folding(PARTS)

    def stages(self) -> Iterator[tuple[nn.Module, nn.ModuleList, nn.Module]]:
        """Yield patch embedding, blocks and norm of each stage."""
        for stage in range(1, self.num_stages + 1):
            yield tuple(self.get_submodule(f"{n}{stage}") for n in ("patch_embed", "block", "norm"))

    def init_weights(self) -> None:
        """Fill convolutions from N(0, 2 / fan_out), then load the weights of `init_cfg`."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                nn.init.zeros_(module.bias)
        super().init_weights()

    def train(self, mode: bool = True) -> "MSCAN":
        self._folding.clear()
        return super().train(mode)

    def __getstate__(self) -> dict:
        return {**vars(self), "_folding": Folding(PARTS)}  # of copies and pickles

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if (folded := self._folded(x)) is not None:
            return folded(x)
        outs = []
        for patch_embed, blocks, norm in self.stages():
            x = patch_embed(x)
            for block in blocks:
                x = checkpoint(block, x) if self.with_cp and self.training else block(x)
            # The next stage starts from the normalised map, as in the official code.
            x = norm(x)
            outs.append(x)
        return tuple(outs)

    def _folded(self, x: Tensor) -> FoldedMSCAN | None:
        """Return what computes the same faster, if this is inference as it is now."""
        if self.training or torch.is_grad_enabled() or not ops.enabled() or torch.jit.is_tracing():
            return None
        if torch.compiler.is_compiling():
            # Compiled, the weights are folded once if they are constants. oneDNN's fused operations
            # and the bands of CPUs are not for compilers.
            return FoldedMSCAN(self.stages(), compute_dtype(x)) if triton.suits(x) else None
        return self._folding.get(self, compute_dtype(x))
