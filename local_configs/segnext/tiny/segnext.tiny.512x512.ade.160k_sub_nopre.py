"""The same tenth, without ImageNet weights."""

_base_ = "./segnext.tiny.512x512.ade.160k_sub.py"

model = dict(backbone=dict(init_cfg=None))
