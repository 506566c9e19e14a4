"""The network: every class here is found by its name in a config."""

from mmseg.models.backbones import MSCAN, TIMMBackbone
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.decode_heads import BaseDecodeHead, LightHamHead, LightHamHeadOffsetLearning
from mmseg.models.losses import CrossEntropyLoss, DiceLoss, LovaszLoss
from mmseg.models.segmentor import EncoderDecoder
from mmseg.models.tta import SegTTAModel

__all__ = [
    "MSCAN",
    "BaseDecodeHead",
    "CrossEntropyLoss",
    "DiceLoss",
    "EncoderDecoder",
    "LightHamHead",
    "LightHamHeadOffsetLearning",
    "LovaszLoss",
    "SegDataPreProcessor",
    "SegTTAModel",
    "TIMMBackbone",
]
