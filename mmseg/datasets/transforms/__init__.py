"""Transforms that mmcv lacks or does otherwise; the others of a pipeline are mmcv's own."""

from mmseg.datasets.transforms.geometric import (
    RandomCrop,
    RandomScaleCropFlip,
    RandomTurn,
    Resize,
    ResizeToMultiple,
)
from mmseg.datasets.transforms.loading import (
    LoadAnnotations,
    LoadImageFromFile,
    LoadUnlabelled,
    PackSegInputs,
)
from mmseg.datasets.transforms.photometric import PhotoMetricDistortion
