"""An eighth of the labels of CamVid at 240x320: SegNeXt-T from scratch (docs/benchmarks.md)."""

iterations = 800
scale, crop_size = (320, 240), (160, 160)
options = {
    "model.data_preprocessor.size": crop_size,
    "train_dataloader.dataset.pipeline.2.scale": scale,
    "train_dataloader.dataset.pipeline.2.crop_size": crop_size,
    "val_dataloader.dataset.pipeline.1.scale": scale,
    "test_dataloader.dataset.pipeline.1.scale": scale,
    "optim_wrapper.optimizer.lr": 1e-3,
    "optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult": 1.0,
    "train_cfg.max_iters": iterations,
    "train_cfg.val_interval": iterations,
    "param_scheduler.0.start_factor": 1e-3,
    "param_scheduler.0.end": 101,
    "param_scheduler.1.end": iterations + 1,
    "train_dataloader.batch_size": 4,
    "train_dataloader.num_workers": 1,
    "val_dataloader.num_workers": 1,
    "test_dataloader.num_workers": 1,
    "default_hooks.checkpoint.interval": 50,
    "default_hooks.checkpoint.max_keep_ckpts": 1,
}
part = {"train_dataloader.dataset.subset": dict(fraction=1 / 8, seed=0)}
semi = {**part, "custom_hooks": [dict(type="SemiSupervisedHook", threshold=0.9)]}
changes = {"part": part, "semi": semi, "all": {}}
variants = {
    name: dict(
        config="../segnext/tiny/segnext.tiny.352x480.camvid.20k_nopre.py",
        options={**options, **change},
    )
    for name, change in changes.items()
}
seeds = [0, 1, 2]
