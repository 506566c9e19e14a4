"""Data sets and their transforms: every class here is found by its name in a config."""

from mmseg.datasets.ade import ADE20KDataset
from mmseg.datasets.base import BaseSegDataset
from mmseg.datasets.camvid import CamVidDataset
from mmseg.datasets.landcover import LandCoverAIDataset
from mmseg.datasets.voc import PascalVOCDataset
from mmseg.registry import DATASETS


def build_dataset(cfg: dict) -> BaseSegDataset:
    """Build a data set from its config."""
    return DATASETS.build(cfg)


__all__ = [
    "ADE20KDataset",
    "BaseSegDataset",
    "CamVidDataset",
    "LandCoverAIDataset",
    "PascalVOCDataset",
    "build_dataset",
]
