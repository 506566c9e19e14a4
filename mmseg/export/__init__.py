"""A trained model as a file for other programs."""

from mmseg.export.options import ExportOptions
from mmseg.export.writer import to_onnx

__all__ = ["ExportOptions", "to_onnx"]
