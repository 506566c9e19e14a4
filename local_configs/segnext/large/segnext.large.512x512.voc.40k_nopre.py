"""Without ImageNet weights."""

_base_ = "./segnext.large.512x512.voc.40k.py"

model = dict(backbone=dict(init_cfg=None))
