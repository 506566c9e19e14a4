"""How a run is carried out, whatever it trains."""

default_scope = "mmseg"
runner_type = "SegRunner"
randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
# `compile` and `triton_kernels`, for GPUs, have their defaults in mmseg/ops/device.py.
# With more than one GPU, batch norm is synchronised between them.
sync_bn = "torch"
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="LatestCheckpointHook", by_epoch=False, save_best="mIoU", max_keep_ckpts=3
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    summary=dict(type="RunSummaryHook", base_batch_size=16),
)
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
log_processor = dict(by_epoch=False)
log_level = "INFO"
