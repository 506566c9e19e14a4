"""An eighth of the labels of NAIP's tiles: SegNeXt-T from scratch (docs/benchmarks.md)."""

iterations = 600
crop_size = (128, 128)
options = {
    "model.data_preprocessor.size": crop_size,
    "train_dataloader.dataset.pipeline.2.crop_size": crop_size,
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
part = {"train_dataloader.dataset.subset": dict(fraction=1 / 8, seed=0)}
semi = {**part, "custom_hooks": [dict(type="SemiSupervisedHook", threshold=0.9)]}
changes = {"part": part, "semi": semi, "all": {}}
variants = {
    name: dict(
        config="../segnext/tiny/segnext.tiny.256x256.naip4_nopre.py",
        options={**options, **change},
    )
    for name, change in changes.items()
}
seeds = [0, 1, 2]
