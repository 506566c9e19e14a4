"""ConvNeXt-T of DINOv3 (arXiv 2508.10104) with the decoder of SegNeXt-T.

The weights of the encoder are under Meta's DINOv3 License (`dinov3-license` in timm), which is not
Apache-2.0. Read it before you use or pass on a model that was trained from them.
"""

_base_ = "./convnext_tiny.512x512.ade.160k.py"

model = dict(backbone=dict(model_name="convnext_tiny.dinov3_lvd1689m"))
