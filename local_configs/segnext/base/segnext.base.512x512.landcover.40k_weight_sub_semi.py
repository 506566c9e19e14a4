"""A tenth of the training images with their masks, and the others without."""

_base_ = "./segnext.base.512x512.landcover.40k_weight_sub.py"

custom_hooks = [dict(type="SemiSupervisedHook")]
