"""Any timm encoder under our heads, for comparisons with MSCAN."""

from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from mmseg.errors import UserError
from mmseg.registry import MODELS


@MODELS.register_module()
class TIMMBackbone(BaseModule):
    """The feature maps of `timm.create_model(model_name, features_only=True)`, shallow to deep."""

    def __init__(
        self,
        model_name: str,
        pretrained: bool = False,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        # Imported here: timm needs a torchvision that matches torch, which SegNeXt itself does not.
        try:
            import timm
        except Exception as error:  # a torchvision that does not match torch raises anything
            raise UserError(
                f"TIMMBackbone needs timm and a torchvision made for this torch ({error})"
            ) from error
        super().__init__(init_cfg)
        self.timm_model = timm.create_model(
            model_name, pretrained=pretrained, features_only=True, **kwargs
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.timm_model(x))
