"""python tools/train.py local_configs/segnext/tiny/segnext.tiny.352x480.camvid.20k_nopre.py"""

_base_ = [
    "../../_base_/models/mscan_tiny.py",
    "../../_base_/datasets/camvid.py",
    "../../_base_/schedules/adamw_20k.py",
    "../../_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=11),
)
train_dataloader = dict(batch_size=16)
