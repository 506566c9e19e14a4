"""A trained model as a file for other programs."""

from mmseg.export.delivery import export_model
from mmseg.export.options import ExportOptions
from mmseg.export.writer import to_onnx

__all__ = ["ExportOptions", "export_model", "to_onnx"]
