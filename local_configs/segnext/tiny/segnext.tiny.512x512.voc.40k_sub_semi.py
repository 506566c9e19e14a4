"""A tenth of the training images with their masks, and the others without."""

_base_ = "./segnext.tiny.512x512.voc.40k_sub.py"

custom_hooks = [dict(type="SemiSupervisedHook")]
