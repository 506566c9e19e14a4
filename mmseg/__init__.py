"""SegNeXt: convolutional semantic segmentation (https://arxiv.org/abs/2209.08575)."""

__version__ = "0.1.0"
