"""Translate configs of MMSegmentation 0.x, which the official repository uses, to mmengine's keys.

Start reading at `translate_legacy`. Where mmengine behaves differently, the result behaves as 0.x:
the poly decay runs from iteration 0 and is multiplied by the warm-up, and tests stretch images to
the given multiple instead of padding them. A key without a counterpart is an error.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmengine.logging import MMLogger

from mmseg.compat.legacy.data import Preprocessing, translate_dataset
from mmseg.compat.legacy.schedule import (
    refuse_rest,
    translate_loops,
    translate_optimizer,
    translate_rates,
)
from mmseg.errors import UserError, did_you_mean

MODERN = (
    *("train_dataloader", "val_dataloader", "test_dataloader", "optim_wrapper"),
    *("param_scheduler", "default_hooks"),
)
# Keys that mmengine reads by the same name.
SAME = ("log_level", "load_from", "work_dir", "custom_imports", "custom_hooks")
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
KNOWN = {
    *(*OUTDATED, *SAME, "model", "train_cfg", "test_cfg"),
    *("workflow", "fp16", "seed", "gpu_ids", "find_unused_parameters"),
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
    for key in config:
        if key == "optimizer" and used and "type" in config[key]:
            stated = config[key]
            if stated != BASE_OPTIMIZER and any(stated.get(k) != v for k, v in used.items()):
                MMLogger.get_current_instance().warning(
                    "the variable 'optimizer' of the config has no effect: "
                    "optim_wrapper.optimizer has other values, and they count"
                )
        elif key in OUTDATED:
            raise UserError(f"{key!r} is a key of MMSegmentation 0.x; use {OUTDATED[key]}")


def translate_legacy(config: Mapping) -> dict[str, Any]:
    """Return a config of 0.x in mmengine's dialect; the argument is not changed.

    Raises `UserError` with the key, its value and what to use instead.
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
    translate_loops(old, new)
    translate_optimizer(old, new)
    translate_rates(old, new)
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
            # This sampler is endless and shuffles, so RepeatDataset is not needed.
            "sampler": {"type": "InfiniteSampler", "shuffle": True}
            if split == "train"
            else {"type": "DefaultSampler", "shuffle": False},
            "dataset": translate_dataset(data.pop(split), split != "train", preprocessing),
        }
        refuse_rest(loader, f"data.{split}_dataloader")
    refuse_rest(data, "data")
    model = old["model"]
    model |= {key: old[key] for key in ("train_cfg", "test_cfg") if key in old}
    new["model"] = {**_with_own_dice(model), "data_preprocessor": preprocessing.config()}


def _with_own_dice(value: Any) -> Any:
    """Name the `DiceLoss` of 0.x, which is another than that of 1.x, by its name here."""
    if isinstance(value, list | tuple):
        return type(value)(map(_with_own_dice, value))
    if not isinstance(value, Mapping):
        return value
    changed = {key: _with_own_dice(item) for key, item in value.items()}
    return changed | ({"type": "ClassDiceLoss"} if value.get("type") == "DiceLoss" else {})


def _translate_hooks(old: dict, new: dict) -> None:
    evaluation = old.get("evaluation", {})
    evaluation.pop("pre_eval", None)  # it saves memory in 0.x; the metric here always saves it
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
    if evaluation.pop("by_epoch", False):
        raise UserError("evaluation.by_epoch=True: set by_epoch=False and count in iterations")
    refuse_rest(evaluation, "evaluation")
    interval = log.pop("interval", 50)
    new["default_hooks"] = {
        "timer": {"type": "IterTimerHook"},
        "logger": {"type": "LoggerHook", "interval": interval, "log_metric_by_epoch": False},
        "param_scheduler": {"type": "ParamSchedulerHook"},
        "checkpoint": {"type": "LatestCheckpointHook", **checkpoint},
        "sampler_seed": {"type": "DistSamplerSeedHook"},
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
