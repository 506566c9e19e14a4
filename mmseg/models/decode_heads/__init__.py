from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.ham_head import LightHamHead

__all__ = ["BaseDecodeHead", "LightHamHead"]
