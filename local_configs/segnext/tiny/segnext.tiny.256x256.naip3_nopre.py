"""The same tiles without ImageNet weights, red, green and blue only: to compare with four bands."""

_base_ = "./segnext.tiny.256x256.naip4_nopre.py"

bands = ("red", "green", "blue")
mean, std = _base_.mean[:3], _base_.std[:3]
info = dict(metainfo=dict(bands=bands))
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[0].fill = test_pipeline[0].fill = mean
model = dict(
    data_preprocessor=dict(mean=mean, std=std, bgr_to_rgb=True),
    backbone=dict(in_channels=3),
)
train_dataloader = dict(dataset=dict(info, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(info, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(info, pipeline=test_pipeline))
