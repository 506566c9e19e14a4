"""python tools/train.py local_configs/segnext/small/segnext.small.1024x1024.city.160k.py

Paper: 81.3 mIoU single scale, 82.7 multi-scale and flip.
"""

_base_ = [
    "../../_base_/models/mscan_small.py",
    "../../_base_/datasets/cityscapes.py",
    "../../_base_/schedules/adamw_160k.py",
    "../../_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=19),
    test_cfg=dict(mode="slide", crop_size=_base_.crop_size, stride=(768, 768)),
)
train_dataloader = dict(batch_size=8)
default_hooks = dict(summary=dict(base_batch_size=8))
