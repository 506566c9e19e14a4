"""What pays at small scale: SegNeXt-T from scratch on NAIP's tiles (docs/benchmarks.md)."""

iterations = 300
mean = (131.83, 142.94, 107.89, 209.90)
schedule = {
    "train_cfg.max_iters": iterations,
    "train_cfg.val_interval": iterations,
    "param_scheduler.1.end": iterations + 1,
    "train_dataloader.batch_size": 8,
    "train_dataloader.num_workers": 1,
    "val_dataloader.num_workers": 1,
    "test_dataloader.num_workers": 1,
    "default_hooks.checkpoint.interval": 50,
    "default_hooks.checkpoint.max_keep_ckpts": 1,
}
# The augmentation of the paper: scales, crops, horizontal flips and colours.
plain = [
    dict(type="LoadImageFromFile", fill=mean),
    dict(type="LoadAnnotations"),
    dict(
        type="RandomScaleCropFlip",
        scale=(256, 256),
        crop_size=(256, 256),
        ratio_range=(0.5, 2.0),
        cat_max_ratio=0.75,
    ),
    dict(type="PhotoMetricDistortion", on_device=True),
    dict(type="PackSegInputs"),
]
turning = [*plain[:3], dict(type="RandomTurn"), *plain[3:]]
# tools/class_weights.py computes these.
class_weight = [0.4766, 5.397, 5.299, 0.7416, 0.9816, 4.546]
baseline = {**schedule, "train_dataloader.dataset.pipeline": plain}
loss = "model.decode_head.loss_decode"
changes = {
    "baseline": {},
    "offset": {"model.decode_head.type": "LightHamHeadOffsetLearning"},
    # The default momentum averages a thousand iterations; 0.02 averages fifty.
    "ema": {"custom_hooks": [dict(type="EMAHook", momentum=0.02)]},
    "lovasz": {loss: [dict(type="CrossEntropyLoss"), dict(type="LovaszLoss")]},
    "turns": {"train_dataloader.dataset.pipeline": turning},
    "class_weights": {f"{loss}.class_weight": class_weight},
}
variants = {
    name: dict(
        config="../segnext/tiny/segnext.tiny.256x256.naip4_nopre.py",
        options={**baseline, **options},
    )
    for name, options in changes.items()
}
seeds = [0, 1, 2]
