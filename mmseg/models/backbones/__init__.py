from mmseg.models.backbones.mscan import MSCAN
from mmseg.models.backbones.timm_backbone import TIMMBackbone

__all__ = ["MSCAN", "TIMMBackbone"]
