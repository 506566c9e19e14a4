_base_ = "./adamw.py"

max_iters = 40_000
param_scheduler = [
    _base_.warm_up,
    dict(type="PolyLR", power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters + 1),
]
train_cfg = dict(type="SegTrainLoop", max_iters=max_iters, val_interval=max_iters // 10)
