"""LightHamHead, the decoder of SegNeXt: global context by non-negative matrix factorisation.

NMF (mmseg/ops/nmf.py) writes a map x (B, D, N), D channels by N = H*W positions, as bases (B, D, R)
times coef^T (B, R, N) of low rank R, all non-negative, and the head goes on with bases coef^T.
Submodule names are those of the released checkpoints.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmseg import ops
from mmseg.errors import UserError
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import algebra, nmf
from mmseg.ops.intact import is_intact
from mmseg.registry import MODELS

GROUP_NORM = {"type": "GN", "num_groups": 32}
EVAL_SEED = 0


class NMF2D(nn.Module):
    """Replace a non-negative map (B, D, H, W) by its factorisation of rank R; no parameters.

    Training starts from fresh random bases at each step. Evaluation starts from fixed ones, equal
    for every image and model, so that the same image always gives the same result.
    """

    eval_bases: Tensor

    def __init__(self, channels: int, rank: int, train_steps: int = 6, eval_steps: int = 7) -> None:
        super().__init__()
        self.rank = rank
        self.train_steps = train_steps
        self.eval_steps = eval_steps
        # A private generator: no global random state is used.
        generator = torch.Generator().manual_seed(EVAL_SEED)
        bases = torch.rand(1, channels, rank, generator=generator)
        self.register_buffer("eval_bases", bases, persistent=False)

    def build_bases(self, batch_size: int) -> Tensor:
        """Return starting bases (B, D, R), L2-normalised over D, float32."""
        if self.training:
            shape = (batch_size, *self.eval_bases.shape[1:])
            bases = torch.rand(shape, device=self.eval_bases.device)
        else:
            bases = self.eval_bases.float().expand(batch_size, -1, -1)
        return F.normalize(bases, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        bases, coef = self.factorise(x)
        with torch.autocast(x.device.type, enabled=False):
            return (bases @ coef.transpose(1, 2)).view(x.shape).to(x.dtype)

    def factorise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, H, W) -> bases (B, D, R) and coef (B, N, R), float32."""
        steps = self.train_steps if self.training else self.eval_steps
        with torch.autocast(x.device.type, enabled=False):
            bases = self.build_bases(x.shape[0])
            return nmf.factorise(x.flatten(2), bases, steps)


class Hamburger(nn.Module):
    """relu(x + ham_out(NMF(relu(ham_in(x))))): two 1x1 convolutions around the factorisation."""

    def __init__(self, channels: int, rank: int, norm_cfg: dict) -> None:
        super().__init__()
        self.ham_in = ConvModule(channels, channels, 1, act_cfg=None)
        self.ham = NMF2D(channels, rank)
        self.ham_out = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, x: Tensor) -> Tensor:
        context = F.relu_(self.ham_in(x))  # NMF needs non-negative input
        ham_out = self.ham_out
        if ops.enabled() and is_intact(self.ham, (NMF2D,)) and _is_conv_norm_act(ham_out):
            bases, coef = self.ham.factorise(context)
            context = algebra.conv_of_product(ham_out.conv.weight, bases, coef, x.shape[2:])
            context = ham_out.norm(context.to(ham_out.norm.weight.dtype))
        else:
            context = self.ham_out(self.ham(context))
        return F.relu_(context.add_(x))


@MODELS.register_module()
class LightHamHead(BaseDecodeHead):
    """The maps of stages 2 to 4 at 1/8 -> logits (B, num_classes, H/8, W/8) (paper, figure 3c).

    `ham_channels` is the width of the Hamburger, `ham_kwargs=dict(MD_R=...)` the rank of its NMF:
    16 for SegNeXt-T and -S, 64 for -B and -L. The rank has no parameters, so that a checkpoint
    loads with a wrong one; it is never inherited between sizes.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        ham_channels: int,
        ham_kwargs: Mapping[str, int],
        num_classes: int,
        in_index: Sequence[int] = (1, 2, 3),
        norm_cfg: dict = GROUP_NORM,
        **kwargs: Any,
    ) -> None:
        super().__init__(in_channels, channels, num_classes, in_index, **kwargs)
        if set(ham_kwargs) != {"MD_R"}:
            raise UserError(f"model.decode_head.ham_kwargs={dict(ham_kwargs)}: give dict(MD_R=...)")
        self.squeeze = ConvModule(sum(self.in_channels), ham_channels, 1, norm_cfg=norm_cfg)
        self.hamburger = Hamburger(ham_channels, ham_kwargs["MD_R"], norm_cfg)
        self.align = ConvModule(ham_channels, channels, 1, norm_cfg=norm_cfg)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        own_levels = type(self).select is not BaseDecodeHead.select
        if ops.enabled() and not own_levels and _is_conv_norm_act(self.squeeze):
            levels = self.pick(features)
            x = algebra.conv_of_levels(self.squeeze.conv.weight, levels, self.align_corners)
            x = self.squeeze.activate(self.squeeze.norm(x))
        else:
            x = self.squeeze(torch.cat(self.select(features), dim=1))
        x = self.hamburger(x)
        x = self.align(x)
        return self.cls_seg(x)


def _is_conv_norm_act(module: ConvModule) -> bool:
    """Tell whether a module is what `ConvModule` makes of a plain 1x1 convolution and a norm."""
    return (
        is_intact(module, (ConvModule,))
        and is_intact(module.conv, (nn.Conv2d,))
        and module.conv.bias is None
        and module.conv.weight.shape[1:] == (module.conv.in_channels, 1, 1)
        and module.conv.stride == (1, 1)
        and module.conv.padding == (0, 0)
        and module.order == ("conv", "norm", "act")
    )
