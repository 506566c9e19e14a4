"""python tools/train.py local_configs/segnext/large/segnext.large.512x512.ade.160k.py

Paper: 51.0 mIoU single scale, 52.1 multi-scale and flip (table 9).
"""

_base_ = [
    "../../_base_/models/mscan_large.py",
    "../../_base_/datasets/ade20k.py",
    "../../_base_/schedules/adamw_160k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=150))
train_dataloader = dict(batch_size=16)
