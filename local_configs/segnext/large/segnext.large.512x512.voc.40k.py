"""python tools/train.py local_configs/segnext/large/segnext.large.512x512.voc.40k.py

Neither the paper nor the official repository has a score on VOC val.
"""

_base_ = [
    "../../_base_/models/mscan_large.py",
    "../../_base_/datasets/pascal_voc12_aug.py",
    "../../_base_/schedules/adamw_40k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=21))
train_dataloader = dict(batch_size=16)
