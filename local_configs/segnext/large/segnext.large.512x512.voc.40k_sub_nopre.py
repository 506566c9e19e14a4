"""The same tenth, without ImageNet weights."""

_base_ = "./segnext.large.512x512.voc.40k_sub.py"

model = dict(backbone=dict(init_cfg=None))
