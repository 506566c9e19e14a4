"""Without ImageNet weights."""

_base_ = "./segnext.tiny.512x512.landcover.40k_weight.py"

model = dict(backbone=dict(init_cfg=None))
