"""Scores of a data set."""

from mmseg.evaluation.detail import DetailMetric, TemperatureMetric
from mmseg.evaluation.iou import IoUMetric, PickledPredictions

__all__ = ["DetailMetric", "IoUMetric", "PickledPredictions", "TemperatureMetric"]
