"""python tools/train.py local_configs/segnext/large/segnext.large.480x480.pascal_context_59.80k.py

Paper: 58.7 mIoU single scale, 60.3 multi-scale and flip.
"""

_base_ = [
    "../../_base_/models/mscan_large.py",
    "../../_base_/datasets/pascal_context_59.py",
    "../../_base_/schedules/adamw_80k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=59))
train_dataloader = dict(batch_size=16)
