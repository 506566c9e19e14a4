from mmseg.models.decode_heads.decode_head import DecodeHead
from mmseg.models.decode_heads.ham_head import LightHamHead

__all__ = ["DecodeHead", "LightHamHead"]
