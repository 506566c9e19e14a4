"""Configs of MMSegmentation 0.x, the official repository's dialect, turned into mmengine's.

Read from the top: `translate_legacy` says which old keys become which new ones. Where the two
generations differ, the result does what the old one did: the poly decay runs from iteration 0 and
is multiplied by the warm-up, and tests stretch images to the given multiple instead of padding.
What has no counterpart ends with an error; nothing is left out without a word.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmseg.config.legacy_data import Preprocessing, translate_dataset
from mmseg.config.suggest import did_you_mean, refuse_rest
from mmseg.errors import UserError

MODERN = (
    *("train_dataloader", "val_dataloader", "test_dataloader", "optim_wrapper"),
    *("param_scheduler", "default_hooks"),
)
# What mmengine reads under the same name.
SAME = ("log_level", "load_from", "work_dir", "custom_imports", "custom_hooks")
# Read below; any other name at the top level is a variable of the file.
KNOWN = {
    *("data", "model", "train_cfg", "test_cfg", "optimizer", "optimizer_config", "lr_config"),
    *("runner", "evaluation", "checkpoint_config", "log_config", "dist_params", "resume_from"),
    *("cudnn_benchmark", "workflow", "fp16", "seed", "gpu_ids", "find_unused_parameters", *SAME),
}


def is_legacy(config: Mapping) -> bool:
    """Tell a config of 0.x: it has `data` or `lr_config`, and nothing of mmengine's."""
    old = any(key in config for key in ("data", "lr_config", "runner", "checkpoint_config"))
    return old and not any(key in config for key in MODERN)


def translate_legacy(config: Mapping) -> dict[str, Any]:
    """Return a config of 0.x in mmengine's dialect; the argument stays as it is.

    Raises `UserError` naming the key, its value and what there is instead.
    """
    old = deepcopy(dict(config))
    for key in old.keys() - KNOWN:
        if hint := did_you_mean(key, KNOWN, cutoff=0.9):
            raise UserError(f"unknown key {key!r}{hint}")
    if (workflow := old.get("workflow", [("train", 1)])) != [("train", 1)]:
        raise UserError(f"workflow={workflow!r}: validation is set by evaluation.interval instead")
    new: dict[str, Any] = {"default_scope": "mmseg"}
    new |= {key: old[key] for key in SAME if old.get(key) is not None}
    if old.get("resume_from"):
        new |= {"load_from": old["resume_from"], "resume": True}
    _translate_data(old, new)
    _translate_schedule(old, new)
    _translate_hooks(old, new)
    _translate_environment(old, new)
    return new


def _translate_data(old: dict, new: dict) -> None:
    data = old.get("data", {})
    workers = data.pop("workers_per_gpu", 2)
    sizes = {"train": data.pop("samples_per_gpu", 1), "val": 1, "test": 1}
    persistent = data.pop("persistent_workers", True) and workers > 0
    preprocessing = Preprocessing()
    for split, batch_size in sizes.items():
        loader = data.pop(f"{split}_dataloader", {})
        if split not in data:
            continue
        new[f"{split}_dataloader"] = {
            "batch_size": loader.pop("samples_per_gpu", batch_size),
            "num_workers": loader.pop("workers_per_gpu", workers),
            "persistent_workers": loader.pop("persistent_workers", persistent),
            # Endless and shuffled: what RepeatDataset was for.
            "sampler": {"type": "InfiniteSampler", "shuffle": True}
            if split == "train"
            else {"type": "DefaultSampler", "shuffle": False},
            "dataset": translate_dataset(data.pop(split), split != "train", preprocessing),
        }
        refuse_rest(loader, f"data.{split}_dataloader")
    refuse_rest(data, "data")
    model = old["model"]
    model |= {key: old[key] for key in ("train_cfg", "test_cfg") if key in old}
    new["model"] = {**model, "data_preprocessor": preprocessing.config()}


def _translate_schedule(old: dict, new: dict) -> None:
    runner = old.get("runner")
    if runner is None or runner.get("type") != "IterBasedRunner":
        raise UserError(f"runner={runner!r}: use dict(type='IterBasedRunner', max_iters=...)")
    max_iters = runner["max_iters"]
    evaluation = old.get("evaluation", {})
    interval = evaluation.pop("interval", 1)
    new["train_cfg"] = {
        "type": "IterBasedTrainLoop",
        "max_iters": max_iters,
        "val_interval": interval,
    }
    new |= {"val_cfg": {"type": "ValLoop"}, "test_cfg": {"type": "TestLoop"}}
    metric = evaluation.pop("metric", "mIoU")
    metrics = [metric] if isinstance(metric, str) else list(metric)
    new["val_evaluator"] = {"type": "IoUMetric", "iou_metrics": metrics}
    new["test_evaluator"] = dict(new["val_evaluator"])
    if "val_dataloader" not in new:
        new |= {"val_cfg": None, "val_evaluator": None}
    if "test_dataloader" not in new:
        new |= {"test_cfg": None, "test_evaluator": None}

    optimizer = old.get("optimizer", {})
    wrapper = {"type": "OptimWrapper", "optimizer": optimizer}
    for key in ("paramwise_cfg", "constructor"):
        if optimizer.get(key) is not None:
            wrapper[key] = optimizer.pop(key)
    steps = old.get("optimizer_config", {})
    if steps.get("grad_clip"):
        wrapper["clip_grad"] = steps["grad_clip"]
    kind = steps.pop("type", None)
    if kind == "GradientCumulativeOptimizerHook":
        wrapper["accumulative_counts"] = steps.pop("cumulative_iters")
    elif kind not in (None, "OptimizerHook", "Fp16OptimizerHook"):
        raise UserError(f"optimizer_config.type={kind!r}: put what it does into optim_wrapper")
    half = old.get("fp16") or (steps if kind == "Fp16OptimizerHook" else None)
    if half is not None:
        wrapper |= {"type": "AmpOptimWrapper", "loss_scale": half.pop("loss_scale", 512.0)}
    steps.pop("grad_clip", None)
    refuse_rest(steps, "optimizer_config")
    new["optim_wrapper"] = wrapper
    new["param_scheduler"] = _schedulers(old.get("lr_config", {"policy": "fixed"}), max_iters)


def _schedulers(old: dict, max_iters: int) -> list[dict]:
    """Return mmengine's schedulers, which it multiplies.

    Their `end` is one more than the iteration at which the last value is reached.
    """
    policy = old.pop("policy")
    if old.pop("by_epoch", False):
        raise UserError("lr_config.by_epoch=True: set by_epoch=False and count in iterations")
    whole = {"by_epoch": False, "begin": 0, "end": max_iters + 1}
    schedulers = []
    if warmup := old.pop("warmup", None):
        if warmup not in ("linear", "constant"):
            raise UserError(f"lr_config.warmup={warmup!r}: use 'linear' or 'constant'")
        if old.get("min_lr"):
            raise UserError("lr_config.min_lr with a warm-up: set min_lr=0 or no warmup")
        ratio, iters = old.pop("warmup_ratio", 0.1), old.pop("warmup_iters")
        ramp = {"by_epoch": False, "begin": 0, "end": iters + 1}
        name, key = ("LinearLR", "start_factor") if warmup == "linear" else ("ConstantLR", "factor")
        schedulers.append({"type": name, key: ratio, **ramp})
    if policy == "poly":
        values = {"power": old.pop("power", 1.0), "eta_min": old.pop("min_lr", 0.0)}
        schedulers.append({"type": "PolyLR", **values, **whole})
    elif policy == "step":
        step = old.pop("step")
        milestones = list(step) if isinstance(step, list | tuple) else _every(step, max_iters)
        gamma = old.pop("gamma", 0.1)
        schedulers.append(
            {"type": "MultiStepLR", "milestones": milestones, "gamma": gamma, **whole}
        )
    elif policy == "CosineAnnealing":
        values = {"T_max": max_iters, "eta_min": old.pop("min_lr", 0.0)}
        schedulers.append({"type": "CosineAnnealingLR", **values, **whole})
    elif policy != "fixed":
        raise UserError(
            f"lr_config.policy={policy!r}: there are poly, step, CosineAnnealing and fixed; write "
            "another as param_scheduler in mmengine's dialect"
        )
    refuse_rest(old, "lr_config")
    return schedulers


def _every(step: int, end: int) -> list[int]:
    return list(range(step, end + 1, step))


def _translate_hooks(old: dict, new: dict) -> None:
    evaluation = old.get("evaluation", {})
    evaluation.pop("pre_eval", None)  # how 0.x saves memory; the metric here always does
    log = old.get("log_config", {})
    backends = [{"type": "LocalVisBackend"}]
    for hook in log.pop("hooks", []):
        if hook["type"] == "TensorboardLoggerHook":
            backends.append({"type": "TensorboardVisBackend"})
        elif hook["type"] != "TextLoggerHook":
            raise UserError(
                f"log_config.hooks has {hook['type']!r}: there are TextLoggerHook and "
                "TensorboardLoggerHook; add others to visualizer.vis_backends"
            )
    checkpoint = {"by_epoch": False, **old.get("checkpoint_config", {})}
    for key in ("save_best", "rule"):
        if key in evaluation:
            checkpoint[key] = evaluation.pop(key)
    evaluation.pop("by_epoch", None)
    refuse_rest(evaluation, "evaluation")
    new["default_hooks"] = {
        "timer": {"type": "IterTimerHook"},
        "logger": {
            "type": "LoggerHook",
            "interval": log.pop("interval", 50),
            "log_metric_by_epoch": False,
        },
        "param_scheduler": {"type": "ParamSchedulerHook"},
        "checkpoint": {"type": "LatestCheckpointHook", **checkpoint},
        "sampler_seed": {"type": "DistSamplerSeedHook"},
        "summary": {"type": "RunSummaryHook", "base_batch_size": None},
    }
    refuse_rest(log, "log_config")
    new["visualizer"] = {"type": "Visualizer", "vis_backends": backends}
    new["log_processor"] = {"by_epoch": False}


def _translate_environment(old: dict, new: dict) -> None:
    new["randomness"] = {"seed": old.get("seed")}
    new["env_cfg"] = {
        "cudnn_benchmark": old.get("cudnn_benchmark", False),
        "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
        "dist_cfg": old.get("dist_params", {"backend": "nccl"}),
    }
    new["model_wrapper_cfg"] = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": old.get("find_unused_parameters", False),
        "device_ids": None,
    }
