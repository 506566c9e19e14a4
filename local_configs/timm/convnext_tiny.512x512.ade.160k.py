"""ConvNeXt-T (arXiv 2201.03545) with the decoder of SegNeXt-T.

The weights of the encoder are Apache-2.0.
"""

_base_ = [
    "../_base_/models/timm.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/adamw_160k.py",
    "../_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(model_name="convnext_tiny.fb_in22k_ft_in1k", options=dict(drop_path_rate=0.1)),
)
train_dataloader = dict(batch_size=16)
