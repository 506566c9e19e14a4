"""An eighth of the labels of CamVid at 240x320: SegNeXt-T from scratch (docs/results.md)."""

_base_ = "./few_labels_naip.py"

