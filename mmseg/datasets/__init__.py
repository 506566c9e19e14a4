"""Data sets and their transforms: every class here is found by its name in a config."""

from mmseg.datasets.ade import ADE20KDataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.builder import build_dataset
from mmseg.datasets.camvid import CamVidDataset
from mmseg.datasets.cityscapes import CityscapesDataset
from mmseg.datasets.coco_stuff import COCOStuffDataset
from mmseg.datasets.isaid import iSAIDDataset
from mmseg.datasets.isprs import ISPRSDataset, PotsdamDataset
from mmseg.datasets.landcover import LandCoverAIDataset
from mmseg.datasets.loveda import LoveDADataset
from mmseg.datasets.pascal_context import PascalContextDataset, PascalContextDataset59
from mmseg.datasets.voc import PascalVOCDataset
from mmseg.datasets.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmseg.registry import DATASETS

__all__ = [
    "DATASETS",
    "ADE20KDataset",
    "BaseSegDataset",
    "COCOStuffDataset",
    "CamVidDataset",
    "CityscapesDataset",
    "ClassBalancedDataset",
    "ConcatDataset",
    "ISPRSDataset",
    "LandCoverAIDataset",
    "LoveDADataset",
    "PascalContextDataset",
    "PascalContextDataset59",
    "PascalVOCDataset",
    "PotsdamDataset",
    "RepeatDataset",
    "build_dataset",
    "iSAIDDataset",
]
