"""Pictures of segmentations."""

from mmseg.visualization.hook import SegVisualizationHook

__all__ = ["SegVisualizationHook"]
