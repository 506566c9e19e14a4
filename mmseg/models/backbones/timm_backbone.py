"""Any encoder of timm under our heads."""

from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg.errors import UserError, reason
from mmseg.registry import MODELS, WEIGHT_INITIALIZERS


@MODELS.register_module()
class TIMMBackbone(BaseModule):
    """The feature maps of `timm.create_model(model_name, features_only=True)`, shallow to deep.

    `options` are more arguments of `create_model`. `feature_info` is timm's: `channels()` are the
    widths of the maps, `reduction()` their strides. `init_cfg=dict(type="TIMMWeights")`, or
    `pretrained`, loads timm's weights when a training starts, and not for a checkpoint. A model
    that timm cannot make, and a missing timm, raise `UserError`.
    """

    def __init__(
        self,
        model_name: str,
        pretrained: bool = False,
        in_channels: int = 3,
        options: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg or ({"type": "TIMMWeights"} if pretrained else None))
        self.in_channels = in_channels
        self.arguments = {"model_name": model_name, "in_chans": in_channels, **(options or {})}
        self.timm_model = self.create(pretrained=False)
        self.feature_info: Any = self.timm_model.feature_info

    def create(self, pretrained: bool) -> nn.Module:
        """Make a new model of timm with the arguments of this one."""
        # Imported here: timm needs a torchvision that matches torch, which SegNeXt itself does not.
        try:
            import timm
        except Exception as error:  # a torchvision that does not match torch raises anything
            raise UserError(
                f"TIMMBackbone needs timm and a torchvision made for this torch ({error})"
            ) from error
        try:
            return timm.create_model(features_only=True, pretrained=pretrained, **self.arguments)
        except Exception as error:  # of the network, of the file, of the arguments
            task = "load its weights" if pretrained else "make its feature maps"
            name = self.arguments["model_name"]
            hint = "; to train without them set model.backbone.init_cfg=None" if pretrained else ""
            raise UserError(
                f"TIMMBackbone {name!r}: timm cannot {task} ({reason(error)}){hint}"
            ) from error

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.timm_model(x))


@WEIGHT_INITIALIZERS.register_module()
class TIMMWeights:
    """Initialise a `TIMMBackbone` with the weights that timm has for its `model_name`.

    timm downloads and keeps them. `options=dict(pretrained_cfg_overlay=dict(file=...))` of the
    backbone names a file instead.
    """

    def __call__(self, module: TIMMBackbone) -> None:
        module.timm_model.load_state_dict(module.create(pretrained=True).state_dict())
