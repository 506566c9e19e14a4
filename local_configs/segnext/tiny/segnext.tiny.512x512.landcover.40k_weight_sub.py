"""A tenth of the training images: the same for everyone, with every class."""

_base_ = "./segnext.tiny.512x512.landcover.40k_weight.py"

train_dataloader = dict(dataset=dict(subset=dict(fraction=0.1, seed=0)))
