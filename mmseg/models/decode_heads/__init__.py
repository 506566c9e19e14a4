from mmseg.models.decode_heads.decode_head import DecodeHead
from mmseg.models.decode_heads.ham_head import LightHamHead
from mmseg.models.decode_heads.offset_learning import LightHamHeadOffsetLearning

__all__ = ["DecodeHead", "LightHamHead", "LightHamHeadOffsetLearning"]
