"""Red, green, blue and near infrared: an example for images of other than three bands."""

_base_ = [
    "../../_base_/models/mscan_tiny.py",
    "../../_base_/datasets/naip.py",
    "../../_base_/schedules/adamw.py",
    "../../_base_/default_runtime.py",
]
max_iters = 2000

model = dict(
    data_preprocessor=dict(
        size=_base_.crop_size, mean=_base_.mean, std=_base_.std, bgr_to_rgb=False
    ),
    backbone=dict(in_channels=4, init_cfg=dict(bands=_base_.bands)),
    decode_head=dict(num_classes=6),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=101),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1),
]
train_cfg = dict(type="SegTrainLoop", max_iters=max_iters, val_interval=max_iters // 4)
