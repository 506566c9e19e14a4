"""python tools/train.py local_configs/segnext/small/segnext.small.512x512.landcover.40k_weight.py

Weights: tools/class_weights.py --method inverse_log on the areas the data set publishes.
"""

_base_ = [
    "../../_base_/models/mscan_small.py",
    "../../_base_/datasets/landcover.py",
    "../../_base_/schedules/adamw_40k.py",
    "../../_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(
        num_classes=5, loss_decode=dict(class_weight=[0.548, 9.157, 0.853, 3.32, 7.25])
    ),
)
train_dataloader = dict(batch_size=16)
