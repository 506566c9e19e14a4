"""python tools/train.py local_configs/segnext/tiny/segnext.tiny.512x512.potsdam.80k.py

Neither the paper nor the official repository has a score on Potsdam.
"""

_base_ = [
    "../../_base_/models/mscan_tiny.py",
    "../../_base_/datasets/potsdam.py",
    "../../_base_/schedules/adamw_80k.py",
    "../../_base_/default_runtime.py",
]
model = dict(data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=6))
train_dataloader = dict(batch_size=16)
