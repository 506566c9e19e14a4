"""The same without ImageNet weights: everything learns at one, higher rate."""

_base_ = "./segnext.tiny.256x256.naip3.py"

model = dict(backbone=dict(init_cfg=None))
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.0)))
)
