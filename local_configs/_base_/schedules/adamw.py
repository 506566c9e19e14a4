"""The optimiser of the paper; the files beside this one add the length of the run."""

# `head` and `norm` are parts of parameter names: the decode head learns ten times faster, and
# norm layers called so are not decayed (the stem's are not called so, as in the official code).
# `fused`: torch's loop in one pass over the weights, on a CPU four times as fast for SegNeXt-L.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0), norm=dict(decay_mult=0.0))),
)
# mmengine multiplies both schedulers, as the official code does: the decay runs from iteration 0.
# `end` is one more than the iteration at which the last value is reached.
warm_up = dict(type="LinearLR", start_factor=1e-6, by_epoch=False, begin=0, end=1501)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
