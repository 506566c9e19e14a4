"""make demo

SegNeXt-T from scratch on drawn aerial scenes, small enough for two CPU cores in minutes.
"""

_base_ = [
    "../../_base_/models/mscan_tiny.py",
    "../../_base_/datasets/landcover.py",
    "../../_base_/schedules/adamw.py",
    "../../_base_/default_runtime.py",
]
crop_size = (128, 128)
max_iters = 500

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(init_cfg=None, drop_path_rate=0.0),
    decode_head=dict(num_classes=5),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].crop_size = crop_size
train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=dict(data_root="demo/landcover", pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=1, dataset=dict(data_root="demo/landcover"))
test_dataloader = dict(num_workers=1, dataset=dict(data_root="demo/landcover"))
# Without ImageNet weights everything learns at one, higher rate.
optim_wrapper = dict(
    optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.0)))
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=False, begin=0, end=51),
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1),
]
train_cfg = dict(type="SegTrainLoop", max_iters=max_iters, val_interval=max_iters // 2)
default_hooks = dict(summary=dict(base_batch_size=8), logger=dict(interval=25))
