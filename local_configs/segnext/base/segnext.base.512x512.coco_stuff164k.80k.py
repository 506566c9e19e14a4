"""python tools/train.py local_configs/segnext/base/segnext.base.512x512.coco_stuff164k.80k.py

Paper: 45.8 mIoU single scale, 46.3 multi-scale and flip.
"""

_base_ = [
    "../../_base_/models/mscan_base.py",
    "../../_base_/datasets/coco_stuff164k.py",
    "../../_base_/schedules/adamw_80k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=171))
train_dataloader = dict(batch_size=16)
