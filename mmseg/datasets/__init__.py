"""Data sets and their transforms: every class here is found by its name in a config."""

from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.builder import (
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
    build_dataset,
)
from mmseg.datasets.known import (
    ADE20KDataset,
    CamVidDataset,
    CityscapesDataset,
    COCOStuffDataset,
    ISPRSDataset,
    LandCoverAIDataset,
    LoveDADataset,
    PascalContextDataset,
    PascalContextDataset59,
    PascalVOCDataset,
    PotsdamDataset,
    iSAIDDataset,
)
from mmseg.registry import DATASETS
