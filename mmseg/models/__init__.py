"""The network: every class here is found by its name in a config."""

from mmseg.models.backbones import MSCAN, TIMMBackbone
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.decode_heads import DecodeHead, LightHamHead, LightHamHeadOffsetLearning
from mmseg.models.losses import ClassDiceLoss, CrossEntropyLoss, DiceLoss, LovaszLoss
from mmseg.models.segmentor import EncoderDecoder
from mmseg.models.tta import SegTTAModel

__all__ = [
    "MSCAN",
    "ClassDiceLoss",
    "CrossEntropyLoss",
    "DecodeHead",
    "DiceLoss",
    "EncoderDecoder",
    "LightHamHead",
    "LightHamHeadOffsetLearning",
    "LovaszLoss",
    "SegDataPreProcessor",
    "SegTTAModel",
    "TIMMBackbone",
]
