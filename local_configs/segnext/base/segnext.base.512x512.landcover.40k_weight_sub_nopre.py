"""The same tenth, without ImageNet weights."""

_base_ = "./segnext.base.512x512.landcover.40k_weight_sub.py"

model = dict(backbone=dict(init_cfg=None))
