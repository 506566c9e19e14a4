"""Data sets and their transforms: every class here is found by its name in a config."""

from mmseg.datasets.ade import ADE20KDataset
from mmseg.datasets.aerial import LandCoverAIDataset, LoveDADataset, iSAIDDataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.builder import PIPELINES, TRANSFORMS, CustomDataset, build_dataset
from mmseg.datasets.coco_stuff import COCOStuffDataset
from mmseg.datasets.pascal import PascalContextDataset, PascalContextDataset59, PascalVOCDataset
from mmseg.datasets.streets import CamVidDataset, CityscapesDataset
from mmseg.datasets.wrappers import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmseg.registry import DATASETS

__all__ = [
    "DATASETS",
    "PIPELINES",
    "TRANSFORMS",
    "ADE20KDataset",
    "BaseSegDataset",
    "COCOStuffDataset",
    "CamVidDataset",
    "CityscapesDataset",
    "ClassBalancedDataset",
    "ConcatDataset",
    "CustomDataset",
    "LandCoverAIDataset",
    "LoveDADataset",
    "PascalContextDataset",
    "PascalContextDataset59",
    "PascalVOCDataset",
    "RepeatDataset",
    "build_dataset",
    "iSAIDDataset",
]
