"""Make a trained network ready for inference: the same results in less time."""

from mmseg.inference.fused import fuse

__all__ = ["fuse"]
