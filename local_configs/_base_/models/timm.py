"""The decoder of SegNeXt-T on an encoder of timm: a config adds backbone.model_name.

Maps and widths are those at 1/8, 1/16 and 1/32 that timm's feature_info tells.
"""

_base_ = "./mscan.py"

model = dict(
    backbone=dict(_delete_=True, type="TIMMBackbone", init_cfg=dict(type="TIMMWeights")),
    decode_head=dict(
        in_index=None, channels=256, ham_channels=256, ham_kwargs=dict(MD_R=16), num_classes=150
    ),
)
