"""Data sets from scenes and labels: what somebody drew in QGIS, or masks."""

from mmseg.geodata.make import DatasetOptions, make_dataset

__all__ = ["DatasetOptions", "make_dataset"]
