"""python tools/train.py local_configs/segnext/small/segnext.small.896x896.isaid.160k.py

Paper: 68.8 mIoU single scale.
"""

_base_ = [
    "../../_base_/models/mscan_small.py",
    "../../_base_/datasets/isaid.py",
    "../../_base_/schedules/adamw_160k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=16))
train_dataloader = dict(batch_size=16)
