"""python tools/train.py local_configs/segnext/large/segnext.large.512x512.vaihingen.80k.py

Neither the paper nor the official repository has a score on Vaihingen.
"""

_base_ = [
    "../../_base_/models/mscan_large.py",
    "../../_base_/datasets/vaihingen.py",
    "../../_base_/schedules/adamw_80k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=6))
train_dataloader = dict(batch_size=16)
