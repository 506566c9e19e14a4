"""A trained model as a file for other programs."""

from mmseg.export.delivery import export_model
from mmseg.export.engines import for_inference
from mmseg.export.loading import load
from mmseg.export.options import ExportOptions
from mmseg.export.writer import to_onnx

__all__ = ["ExportOptions", "export_model", "for_inference", "load", "to_onnx"]
