"""python tools/train.py local_configs/segnext/small/segnext.small.512x512.ade.160k.py

Paper: 44.3 mIoU single scale, 45.8 multi-scale and flip (table 9).
"""

_base_ = [
    "../../_base_/models/mscan_small.py",
    "../../_base_/datasets/ade20k.py",
    "../../_base_/schedules/adamw_160k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=150))
train_dataloader = dict(batch_size=16)
