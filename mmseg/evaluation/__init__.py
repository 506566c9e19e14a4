"""Scores of a data set."""

from mmseg.evaluation.iou import IoUMetric

__all__ = ["IoUMetric"]
