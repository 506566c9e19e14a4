"""Find misspelt and outdated keys before anything is built."""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg import registry
from mmseg.config.values import check_values
from mmseg.errors import UserError, did_you_mean, shorten

# Keys of MMSegmentation 0.x, which mmengine would ignore, and where their content goes today.
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
# The schedules of MMSegmentation 1.x write it into optim_wrapper by this name, a mere variable.
BASE_OPTIMIZER = {"type": "SGD", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005}
# What mmengine's runner reads besides its constructor's arguments.
READ_BY_RUNNER = {
    *(
        "sync_bn",
        "compile",
        "find_unused_parameters",
        "model_wrapper_cfg",
        "activation_checkpointing",
    ),
    *("default_scope", "custom_imports", "env_cfg", "tta_model"),
    # Options of loading `load_from` and the fast paths, which our runner reads; the pipeline of
    # tools/test.py --tta.
    *("load_cfg", "fast_ops", "tta_pipeline"),
}
# Sections without a class that could tell their keys.
PLAIN = {
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
    "randomness": {"seed", "deterministic", "diff_rank_seed"},
}
# Whose classes build, by our registries, what they are given.
PACKAGES = {"mmseg", "mmengine", "mmcv", "torch"}
# Keys of components that the builders take out before they call the class.
READ_BY_BUILDERS = {"type", "_scope_", "paramwise_cfg", "constructor", "convert_to_iter_based"}
TOP_LEVEL = {*inspect.signature(Runner.__init__).parameters, *READ_BY_RUNNER} - {"self", "cfg"}


def check_outdated(config: Config) -> None:
    """Raise `UserError` for a key of MMSegmentation 0.x in a config of mmengine's dialect."""
    for key in config:
        if key in OUTDATED and not (key == "optimizer" and config[key] == BASE_OPTIMIZER):
            raise UserError(f"{key!r} is a key of MMSegmentation 0.x; use {OUTDATED[key]}")


def check_config(config: Config, path: str) -> None:
    """Raise `UserError` for a key or a type that nothing reads, or a number out of its range.

    Names at the top level may be variables of the file; only those that look like a misspelt or
    outdated key are refused. Inside a component every key must be an argument of its class.
    """
    for key in config:
        if key not in TOP_LEVEL:
            swapped = [name for name in TOP_LEVEL if sorted(name) == sorted(key)]
            if hint := did_you_mean(key, swapped) or did_you_mean(key, TOP_LEVEL, cutoff=0.9):
                raise UserError(f"{path}: unknown key {key!r}{hint}")
    for name, known in PLAIN.items():
        if isinstance(config.get(name), Mapping):
            _check_keys(config[name], known, name, path)
    train = config.get("train_cfg") or {}
    if train.get("by_epoch") or train.get("type") == "EpochBasedTrainLoop":
        raise UserError(
            f"{path}: train_cfg counts in epochs; use dict(type='IterBasedTrainLoop', "
            "max_iters=...)"
        )
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        if config.get(name) and not isinstance(config[name], Mapping):
            raise UserError(f"{path}: {name} = {config[name]!r:.80} is no dict(...)")
        if config.get(name):
            arguments = {*inspect.signature(DataLoader).parameters, "num_batch_per_epoch"}
            _check_keys(config[name], arguments, name, path)
    with DefaultScope.overwrite_default_scope(registry.SCOPE):
        for key in TOP_LEVEL & set(config):
            _check_component(config[key], key, path)
    try:
        check_values(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check_component(value: Any, where: str, path: str, foreign: bool = False) -> None:
    """Check a part of a config; in a `foreign` one, `type` may mean anything.

    Such is what a class of another package takes and no base of it that is ours.
    """
    own: set[str] = set()
    if isinstance(value, Mapping):
        if isinstance(value.get("type"), str):
            component = _find(value["type"])
            if component is None and not foreign:
                raise _unknown(value["type"], where, path)
            arguments = _arguments(component)
            if arguments is not None:
                _check_keys(value, arguments | READ_BY_BUILDERS, where, path)
            if component is not None:
                own = _arguments_of_ours(component)
                foreign = not _is_ours(component)
        for key, item in value.items():
            _check_component(item, f"{where}.{key}", path, foreign and key not in own)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check_component(item, f"{where}[{i}]", path, foreign)


def _find(name: str) -> Any:
    for each in registry.ALL:
        with suppress(RuntimeError, TypeError):  # mmengine's answers to names such as "" and "."
            if (component := each.get(name)) is not None:
                return component
    return None


def _unknown(name: str, where: str, path: str) -> UserError:
    known = {n for each in registry.ALL for n in _names(each)}
    hint = did_you_mean(name, known, cutoff=0.75)  # of the many, some are like anything
    return UserError(f"{path}: {where}.type = {shorten(name)!r} is not known{hint}")


def _names(each: Registry) -> Iterable[str]:
    while each is not None:
        yield from each.module_dict
        each = each.parent


def _arguments(component: Any) -> set[str] | None:
    """Names of the arguments of a class with those of its bases that it passes on; None = any."""
    if not inspect.isclass(component):
        return None
    names: set[str] = set()
    for cls in component.__mro__:
        if "__init__" not in vars(cls):
            continue
        parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind != p.VAR_KEYWORD} - {"self"}
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return names
    return None


def _arguments_of_ours(component: Any) -> set[str]:
    """Names of the arguments that bases of a class take, the `PACKAGES`' ones."""
    bases = [cls for cls in getattr(component, "__mro__", ()) if _is_ours(cls)]
    own = [vars(cls)["__init__"] for cls in bases if "__init__" in vars(cls)]
    return {name for function in own for name in inspect.signature(function).parameters}


def _is_ours(component: Any) -> bool:
    return component.__module__.partition(".")[0] in PACKAGES


def _check_keys(value: Mapping, known: set[str], where: str, path: str) -> None:
    for key in value:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"; known: {', '.join(sorted(known))}"
            raise UserError(f"{path}: unknown key {where}.{shorten(str(key))}{hint}")
