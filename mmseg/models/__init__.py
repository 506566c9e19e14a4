"""The network: every class here is found by its name in a config."""

from mmseg.models.backbones import MSCAN, TIMMBackbone
from mmseg.models.builder import BACKBONES, HEADS, LOSSES, NECKS, SEGMENTORS, build_segmentor
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.models.decode_heads import BaseDecodeHead, LightHamHead, LightHamHeadOffsetLearning
from mmseg.models.losses import CrossEntropyLoss, DiceLoss, LovaszLoss
from mmseg.models.segmentor import EncoderDecoder
from mmseg.models.tta import SegTTAModel

__all__ = [
    "BACKBONES",
    "HEADS",
    "LOSSES",
    "MSCAN",
    "NECKS",
    "SEGMENTORS",
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
    "build_segmentor",
]
