"""Scores of a data set."""

from mmseg.evaluation.detail import DetailMetric
from mmseg.evaluation.iou import IoUMetric
from mmseg.evaluation.pickled import PickledPredictions
from mmseg.evaluation.temperature import TemperatureMetric

__all__ = ["DetailMetric", "IoUMetric", "PickledPredictions", "TemperatureMetric"]
