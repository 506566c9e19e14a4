_base_ = "./mscan.py"

model = dict(
    backbone=dict(
        embed_dims=(64, 128, 320, 512),
        depths=(3, 3, 12, 3),
        drop_path_rate=0.1,
        init_cfg=dict(
            type="PretrainedBackbone",
            checkpoint="pretrained/mscan_b.pth",
            url="https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segnext/mscan_b_20230227-3ab7d230.pth",
        ),
    ),
    decode_head=dict(
        in_channels=(128, 320, 512), channels=512, ham_channels=512, ham_kwargs=dict(MD_R=64)
    ),
)
