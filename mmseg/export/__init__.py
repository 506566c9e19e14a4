"""A trained model as a file for other programs."""

from mmseg.export.delivery import export_model
from mmseg.export.engines import for_inference
from mmseg.export.facts import to_onnx
from mmseg.export.graph import ExportOptions
from mmseg.export.loading import load

__all__ = ["ExportOptions", "export_model", "for_inference", "load", "to_onnx"]
