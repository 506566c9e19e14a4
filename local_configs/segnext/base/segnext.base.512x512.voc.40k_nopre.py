"""Without ImageNet weights."""

_base_ = "./segnext.base.512x512.voc.40k.py"

model = dict(backbone=dict(init_cfg=None))
