"""Translate configs of MMSegmentation 0.x, which the official repository uses, to mmengine's keys.

Start reading at `translate_legacy`. Where mmengine behaves differently, the result behaves as 0.x:
the poly decay runs from iteration 0 and is multiplied by the warm-up, and tests stretch images to
the given multiple instead of padding them. A key without a counterpart is an error.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmengine.logging import MMLogger

from mmseg.compat.fixed import leave_out, refuse_rest
from mmseg.compat.legacy.data import translate_dataset
from mmseg.errors import UserError, did_you_mean

MODERN = (
    *("train_dataloader", "val_dataloader", "test_dataloader", "optim_wrapper"),
    *("param_scheduler", "default_hooks"),
)
# Keys that mmengine reads by the same name.
SAME = (
    *("log_level", "load_from", "work_dir", "custom_imports", "custom_hooks"),
    "find_unused_parameters",
)
# Keys of MMSegmentation 0.x, which mmengine would ignore, and the keys that replace them.
OUTDATED = {
    "data": "train_dataloader, val_dataloader and test_dataloader",
    "optimizer": "optim_wrapper = dict(optimizer=...)",
    "optimizer_config": "optim_wrapper",
    "lr_config": "param_scheduler",
    "runner": "train_cfg = dict(by_epoch=False, max_iters=...)",
    "checkpoint_config": "default_hooks = dict(checkpoint=...)",
    "evaluation": "train_cfg.val_interval and val_evaluator",
    "log_config": "default_hooks = dict(logger=...)",
    "resume_from": "resume = True and load_from",
    "dist_params": "env_cfg = dict(dist_cfg=...)",
    "cudnn_benchmark": "env_cfg = dict(cudnn_benchmark=...)",
}
# In the schedules of MMSegmentation 1.x `optimizer` is a variable with this content.
BASE_OPTIMIZER = {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005}
# Keys that are translated; any other name at the top level is a variable of the file.
KNOWN = {*OUTDATED, *SAME, "model", "train_cfg", "test_cfg", "workflow", "fp16", "seed", "gpu_ids"}
LOGGERS = {"TextLoggerHook": "LocalVisBackend", "TensorboardLoggerHook": "TensorboardVisBackend"}
# The scheduler of each policy, and its arguments by their names in 0.x: name here, default there.
POLICIES: dict[str, tuple[str, dict[str, tuple[str, Any]]]] = {
    "poly": ("PolyLR", {"power": ("power", 1.0), "min_lr": ("eta_min", 0.0)}),
    "CosineAnnealing": ("CosineAnnealingLR", {"min_lr": ("eta_min", 0.0)}),
    "step": ("MultiStepLR", {"step": ("milestones", ()), "gamma": ("gamma", 0.1)}),
}


def is_legacy(config: Mapping) -> bool:
    """Return whether a config is one of 0.x: it has keys of 0.x, and none of mmengine's."""
    old = any(key in config for key in ("data", "lr_config", "runner", "checkpoint_config"))
    return old and not any(key in config for key in MODERN)


def check_outdated(config: Mapping) -> None:
    """Raise `UserError` for a key of MMSegmentation 0.x in a config that is not of 0.x.

    A whole `optimizer` beside `optim_wrapper` is a variable. A warning tells if it has other
    content.
    """
    used = (config.get("optim_wrapper") or {}).get("optimizer")
    for key in filter(config.__contains__, OUTDATED):
        stated = config[key]
        if key != "optimizer" or not used or "type" not in stated:
            raise UserError(f"{key!r} is a key of MMSegmentation 0.x; use {OUTDATED[key]}")
        if stated != BASE_OPTIMIZER and any(stated.get(k) != v for k, v in used.items()):
            MMLogger.get_current_instance().warning(
                "the variable 'optimizer' of the config has no effect: optim_wrapper.optimizer has "
                "other values, and they count"
            )


def translate_legacy(config: Mapping) -> dict[str, Any]:
    """Return a config of 0.x in mmengine's dialect; the argument is not changed.

    Raises `UserError` with the key, its value and what to use instead.
    """
    old = deepcopy(dict(config))
    for key in old.keys() - KNOWN:
        if hint := did_you_mean(key, KNOWN, cutoff=0.9):
            raise UserError(f"unknown key {key!r}{hint}")
    leave_out(old, {"workflow": ([("train", 1)],)})
    new: dict[str, Any] = {
        "default_scope": "mmseg",
        "randomness": {"seed": old.get("seed")},
        "env_cfg": {
            "cudnn_benchmark": old.get("cudnn_benchmark", False),
            "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
            "dist_cfg": old.get("dist_params", {"backend": "nccl"}),
        },
        "log_processor": {"by_epoch": False},
        **{key: old[key] for key in SAME if old.get(key) is not None},
    }
    if old.get("resume_from"):
        new |= {"load_from": old["resume_from"], "resume": True}
    _translate_data(old, new)
    evaluation = old.get("evaluation", {})
    _translate_loops(old.get("runner", {}), evaluation, new)
    _translate_optimizer(old, new)
    rates, max_iters = old.get("lr_config", {"policy": "fixed"}), new["train_cfg"]["max_iters"]
    leave_out(rates, {"by_epoch": (False,)}, "lr_config")
    new["param_scheduler"] = [*_warmup(rates), *_policy(rates, max_iters)]
    refuse_rest(rates, "lr_config")
    _translate_hooks(old, evaluation, new)
    return new


def _translate_data(old: dict, new: dict) -> None:
    data, settings = old.get("data", {}), dict[str, Any]()
    workers = data.pop("workers_per_gpu", 2)
    sizes = {"train": data.pop("samples_per_gpu", 1), "val": 1, "test": 1}
    persistent = data.pop("persistent_workers", True) and workers > 0
    for split, batch_size in sizes.items():
        loader = data.pop(f"{split}_dataloader", {})
        if split not in data:
            continue
        new[f"{split}_dataloader"] = {
            "batch_size": loader.pop("samples_per_gpu", batch_size),
            "num_workers": loader.pop("workers_per_gpu", workers),
            "persistent_workers": loader.pop("persistent_workers", persistent),
            # This sampler is endless and shuffles, so RepeatDataset is not needed.
            "sampler": {"type": "InfiniteSampler", "shuffle": True}
            if split == "train"
            else {"type": "DefaultSampler", "shuffle": False},
            "dataset": translate_dataset(data.pop(split), split != "train", settings),
        }
        refuse_rest(loader, f"data.{split}_dataloader")
    refuse_rest(data, "data")
    if "mean" not in settings:
        raise UserError("no pipeline has a Normalize step: add it with mean, std and to_rgb")
    model = {**old["model"], **{k: old[k] for k in ("train_cfg", "test_cfg") if k in old}}
    preprocessor = {"type": "SegDataPreProcessor", **settings}
    new["model"] = {**_with_own_dice(model), "data_preprocessor": preprocessor}


def _with_own_dice(value: Any) -> Any:
    """Name the `DiceLoss` of 0.x, which is another than that of 1.x, by its name here."""
    if isinstance(value, list | tuple):
        return type(value)(map(_with_own_dice, value))
    if not isinstance(value, Mapping):
        return value
    changed = {key: _with_own_dice(item) for key, item in value.items()}
    return changed | ({"type": "ClassDiceLoss"} if value.get("type") == "DiceLoss" else {})


def _translate_loops(runner: dict, evaluation: dict, new: dict) -> None:
    max_iters = runner.pop("max_iters", None)
    if runner != {"type": "IterBasedRunner"} or max_iters is None:
        raise UserError(f"runner={runner!r}: use dict(type='IterBasedRunner', max_iters=...)")
    new["train_cfg"] = {
        "type": "IterBasedTrainLoop",
        "max_iters": max_iters,
        "val_interval": evaluation.pop("interval", 1),
    }
    metric = evaluation.pop("metric", "mIoU")
    metrics = [metric] if isinstance(metric, str) else list(metric)
    for split, loop in (("val", "ValLoop"), ("test", "TestLoop")):
        there = f"{split}_dataloader" in new
        new[f"{split}_cfg"] = {"type": loop} if there else None
        new[f"{split}_evaluator"] = {"type": "IoUMetric", "iou_metrics": metrics} if there else None


def _translate_optimizer(old: dict, new: dict) -> None:
    optimizer, steps = old.get("optimizer", {}), old.get("optimizer_config", {})
    wrapper = {"type": "OptimWrapper", "optimizer": optimizer}
    for key in ("paramwise_cfg", "constructor"):
        if optimizer.get(key) is not None:
            wrapper[key] = optimizer.pop(key)
    if clip := steps.pop("grad_clip", None):
        wrapper["clip_grad"] = clip
    kind = steps.pop("type", "OptimizerHook")
    if kind == "GradientCumulativeOptimizerHook":
        wrapper["accumulative_counts"] = steps.pop("cumulative_iters")
    elif kind not in ("OptimizerHook", "Fp16OptimizerHook"):
        raise UserError(f"optimizer_config.type={kind!r}: put what it does into optim_wrapper")
    half = old.get("fp16") or (steps if kind == "Fp16OptimizerHook" else None)
    if half is not None:
        wrapper |= {"type": "AmpOptimWrapper", "loss_scale": half.pop("loss_scale", 512.0)}
    refuse_rest(steps, "optimizer_config")
    new["optim_wrapper"] = wrapper


# mmengine multiplies the factors of the schedulers. A scheduler reaches its last value one
# iteration before its `end`.
def _warmup(old: dict) -> list[dict]:
    if not (warmup := old.pop("warmup", None)):
        return []
    if warmup not in ("linear", "constant"):
        raise UserError(f"lr_config.warmup={warmup!r}: use 'linear' or 'constant'")
    if old.get("min_lr"):
        raise UserError("lr_config.min_lr with a warm-up: set min_lr=0 or no warmup")
    ratio, iters = old.pop("warmup_ratio", 0.1), old.pop("warmup_iters")
    kind, key = ("LinearLR", "start_factor") if warmup == "linear" else ("ConstantLR", "factor")
    return [{"type": kind, key: ratio, "by_epoch": False, "begin": 0, "end": iters + 1}]


def _policy(old: dict, max_iters: int) -> list[dict]:
    policy = old.pop("policy")
    if policy == "fixed":
        return []
    if policy not in POLICIES:
        raise UserError(
            f"lr_config.policy={policy!r}: only {', '.join(POLICIES)} and fixed are translated; "
            "write another policy as param_scheduler in mmengine's dialect"
        )
    kind, names = POLICIES[policy]
    scheduler = {new: old.pop(key, default) for key, (new, default) in names.items()}
    if policy == "CosineAnnealing":
        scheduler["T_max"] = max_iters
    if isinstance(step := scheduler.get("milestones"), int):
        scheduler["milestones"] = list(range(step, max_iters + 1, step))
    return [{"type": kind, **scheduler, "by_epoch": False, "begin": 0, "end": max_iters + 1}]


def _translate_hooks(old: dict, evaluation: dict, new: dict) -> None:
    log = old.get("log_config", {})
    loggers = [hook["type"] for hook in log.pop("hooks", [])]
    if unknown := {*loggers} - {*LOGGERS}:
        raise UserError(
            f"log_config.hooks has {unknown.pop()!r}: there are {' and '.join(LOGGERS)}; add "
            "others to visualizer.vis_backends"
        )
    backends = [{"type": LOGGERS[kind]} for kind in dict.fromkeys(["TextLoggerHook", *loggers])]
    new["visualizer"] = {"type": "Visualizer", "vis_backends": backends}
    checkpoint = {"by_epoch": False, **old.get("checkpoint_config", {})}
    checkpoint |= {k: evaluation.pop(k) for k in ("save_best", "rule") if k in evaluation}
    evaluation.pop("pre_eval", None)  # it saves memory in 0.x; the metric here always saves it
    leave_out(evaluation, {"by_epoch": (False,)}, "evaluation")
    refuse_rest(evaluation, "evaluation")
    interval = log.pop("interval", 50)
    refuse_rest(log, "log_config")
    new["default_hooks"] = {
        "logger": {"type": "LoggerHook", "interval": interval, "log_metric_by_epoch": False},
        "checkpoint": {"type": "LatestCheckpointHook", **checkpoint},
    }
