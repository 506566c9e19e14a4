"""SegNeXt without its size: mscan_<size>.py beside this file adds the numbers."""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True,
    ),
    backbone=dict(type="MSCAN", mlp_ratios=(8, 8, 4, 4)),
    decode_head=dict(
        type="LightHamHead",
        in_index=(1, 2, 3),
        dropout_ratio=0.1,
        loss_decode=dict(type="CrossEntropyLoss"),
    ),
    test_cfg=dict(mode="whole"),
)
