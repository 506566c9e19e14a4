"""EfficientNetV2-S (arXiv 2104.00298) with the decoder of SegNeXt-T.

The weights of the encoder are Apache-2.0. They were trained with another mean and deviation.
"""

_base_ = "./convnext_tiny.512x512.ade.160k.py"

model = dict(
    data_preprocessor=dict(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    backbone=dict(model_name="tf_efficientnetv2_s.in21k_ft_in1k"),
)
