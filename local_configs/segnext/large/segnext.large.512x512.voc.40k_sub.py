"""A tenth of the training images: the same for everyone, with every class."""

_base_ = "./segnext.large.512x512.voc.40k.py"

train_dataloader = dict(dataset=dict(subset=dict(fraction=0.1, seed=0)))
