r"""python tools/train.py \
    local_configs/segnext/tiny/segnext.tiny.512x512.landcover.40k_weight.py

No score of SegNeXt on LandCover.ai has been published.
"""

_base_ = [
    "../../_base_/models/mscan_tiny.py",
    "../../_base_/datasets/landcover.py",
    "../../_base_/schedules/adamw_40k.py",
    "../../_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    decode_head=dict(num_classes=5, loss_decode=dict(class_weight=_base_.class_weight)),
    test_cfg=dict(mode="slide", crop_size=_base_.crop_size, stride=(384, 384)),
)
train_dataloader = dict(batch_size=16)
