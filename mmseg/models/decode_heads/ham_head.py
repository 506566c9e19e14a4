"""LightHamHead, the decoder of SegNeXt: global context by non-negative matrix factorisation.

NMF (https://arxiv.org/abs/2109.04553) writes a map x (B, D, N), D channels by N = H*W positions, as
bases (B, D, R) times coef^T (B, R, N) of low rank R, all non-negative. The head goes on with the
product bases coef^T. Submodule names are those of the released checkpoints.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmseg.compat.fixed import HAM, leave_out
from mmseg.errors import UserError
from mmseg.models.decode_heads.decode_head import DecodeHead
from mmseg.ops.decoder import conv_of_levels, conv_of_product, factorise
from mmseg.registry import MODELS, Count

GROUP_NORM = {"type": "GN", "num_groups": 32}
EVAL_SEED = 0


class NMF2D(nn.Module):
    """Factorise a non-negative map (B, D, H, W) with rank R; no parameters.

    Training starts from fresh random bases at each step. Evaluation starts from fixed ones, equal
    for every image and model, so that the same image always gives the same result.
    """

    eval_bases: Tensor
    train_steps, eval_steps = 6, 7

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, H, W) -> bases (B, D, R) and coef (B, N, R), float32."""
        steps = self.train_steps if self.training else self.eval_steps
        with torch.autocast(x.device.type, enabled=False):
            return factorise(x.flatten(2), self.build_bases(x.shape[0]), steps)


class Hamburger(nn.Module):
    """relu(x + ham_out(NMF(relu(ham_in(x))))): two 1x1 convolutions around the factorisation."""

    def __init__(self, channels: int, rank: int, norm_cfg: dict | None) -> None:
        super().__init__()
        self.ham_in = ConvModule(channels, channels, 1, act_cfg=None)
        self.ham = NMF2D(channels, rank)
        self.ham_out = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, x: Tensor) -> Tensor:
        bases, coef = self.ham(F.relu(self.ham_in(x)))  # NMF needs non-negative input
        context = conv_of_product(self.ham_out.conv, bases, coef, x.shape[2:])
        return F.relu(x + after_conv(self.ham_out, context))


@MODELS.register_module()
class LightHamHead(DecodeHead):
    """The maps of stages 2 to 4 at 1/8 -> logits (B, num_classes, H/8, W/8) (paper, figure 3c).

    `ham_channels` is the width of the Hamburger, `ham_kwargs=dict(MD_R=...)` the rank of its NMF:
    16 for SegNeXt-T and -S, 64 for -B and -L. The rank has no parameters, so that a checkpoint
    loads with a wrong one; it is never inherited between sizes. Other keys of MMSegmentation may
    have the one value that works here.

    The convolutions of `squeeze` and `ham_out` are linear. They are applied by their weights, in
    the order that costs least, and hooks on these two modules are not called.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: Count,
        ham_channels: Count,
        ham_kwargs: Mapping[str, Any],
        num_classes: Count,
        in_index: Sequence[int] | None = (1, 2, 3),
        norm_cfg: dict | None = GROUP_NORM,
        **kwargs: Any,
    ) -> None:
        if in_index is None:  # timm's encoders tell it
            raise UserError(
                "model.decode_head.in_index=None: the encoder does not tell its strides"
            )
        super().__init__(in_channels, channels, num_classes, in_index, **kwargs)
        ham_kwargs = dict(ham_kwargs)
        leave_out(ham_kwargs, HAM, "model.decode_head.ham_kwargs")
        if set(ham_kwargs) != {"MD_R"}:
            raise UserError(f"model.decode_head.ham_kwargs={ham_kwargs}: give dict(MD_R=...)")
        self.squeeze = ConvModule(sum(self.in_channels), ham_channels, 1, norm_cfg=norm_cfg)
        self.hamburger = Hamburger(ham_channels, ham_kwargs["MD_R"], norm_cfg)
        self.align = ConvModule(ham_channels, channels, 1, norm_cfg=norm_cfg)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x = conv_of_levels(self.squeeze.conv, self.features(features), self.align_corners)
        x = after_conv(self.squeeze, x)
        x = self.hamburger(x)
        x = self.align(x)
        return self.cls_seg(x)


def after_conv(module: ConvModule, x: Tensor) -> Tensor:
    """Apply the norm and the activation of a module to the result of its convolution."""
    x = module.norm(x) if module.with_norm else x
    return module.activate(x) if module.with_activation else x
