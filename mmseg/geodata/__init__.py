"""Data sets from scenes and labels: what somebody drew in QGIS, or masks."""

from mmseg.geodata.make import make_dataset
from mmseg.geodata.options import DatasetOptions

__all__ = ["DatasetOptions", "make_dataset"]
