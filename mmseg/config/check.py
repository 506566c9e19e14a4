"""Find misspelt keys and impossible values, while the key is known, before anything is built."""

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg import registry
from mmseg.config.parts import leaves, parts_of
from mmseg.errors import UserError, did_you_mean, shorten

# Keys that the runner reads besides the arguments of mmengine's constructor. `load_cfg`: options of
# loading `load_from`; `tta_pipeline`, `engine`: of tools/test.py --tta and --engine.
READ_BY_RUNNER = {
    *("sync_bn", "compile", "find_unused_parameters", "model_wrapper_cfg"),
    *("activation_checkpointing", "default_scope", "custom_imports", "env_cfg", "tta_model"),
    *("load_cfg", "resume_from_work_dir", "triton_kernels", "tta_pipeline", "engine"),
}
TOP_LEVEL = {*inspect.signature(Runner.__init__).parameters, *READ_BY_RUNNER} - {"self", "cfg"}
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
LOADER_KEYS = {*inspect.signature(DataLoader).parameters, "num_batch_per_epoch"}
# Sections that no class describes, and their keys.
SECTIONS = {
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"},
    "randomness": {"seed", "deterministic", "diff_rank_seed"},
    **dict.fromkeys(LOADERS, LOADER_KEYS),
}
# The classes of these packages build their parts with our registries.
PACKAGES = {"mmseg", "mmengine", "mmcv", "torch"}
# Keys of components that the builders take out before they call the class.
READ_BY_BUILDERS = {"type", "_scope_", "paramwise_cfg", "constructor", "convert_to_iter_based"}

Kind = tuple[str, Callable[[Any], bool]]
"""Which values a key takes, in words and as a test."""


def _number(least: float, most: float = math.inf, whole: bool = False) -> Callable[[Any], bool]:
    def test(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        is_inside = math.isfinite(value) and least <= value <= most
        return is_inside and (not whole or float(value).is_integer())

    return test


def _list_of(test: Callable[[Any], bool], count: int | None = None) -> Callable[[Any], bool]:
    return lambda v: (
        isinstance(v, list | tuple) and len(v) == (count or max(1, len(v))) and all(map(test, v))
    )


COUNT: Kind = ("a whole number from 1", _number(1, whole=True))
COUNT_OR_OFF: Kind = ("a whole number from 1, or -1", lambda v: v == -1 or COUNT[1](v))
SEED: Kind = ("a whole number from 0 to 2**32 - 1", _number(0, 2**32 - 1, whole=True))
NUMBER: Kind = ("a number from 0", _number(0))
SHARE: Kind = ("a number from 0 to below 1", _number(0, math.nextafter(1, 0)))
FOUR_COUNTS: Kind = ("four whole numbers from 1", _list_of(COUNT[1], 4))
WEIGHTS: Kind = (
    "numbers from 0, not all of them 0",
    lambda v: isinstance(v, list | tuple) and all(map(NUMBER[1], v)) and sum(v) > 0,
)
# By dotted key; a star stands for anything. Whoever reads a key decides what None means.
VALUES: dict[str, Kind] = {
    "*_dataloader.batch_size": COUNT,
    "*_dataloader.num_workers": ("a whole number from 0", _number(0, whole=True)),
    "train_cfg.max_iters": COUNT,
    "train_cfg.max_epochs": COUNT,
    "train_cfg.val_interval": COUNT,
    "train_cfg.accumulate": COUNT,
    "optim_wrapper.constructor": (
        "a constructor that is registered; optim_wrapper.paramwise_cfg.custom_keys sets rates by "
        "layer",
        lambda v: not isinstance(v, str) or _find(v) is not None,
    ),
    "optim_wrapper.optimizer.lr": NUMBER,
    "optim_wrapper.accumulative_counts": COUNT,
    "randomness.seed": SEED,
    "triton_kernels": ("True or False", lambda v: isinstance(v, bool)),
    "default_hooks.checkpoint.interval": COUNT_OR_OFF,
    "default_hooks.checkpoint.max_keep_ckpts": COUNT_OR_OFF,
    "default_hooks.logger.interval": COUNT,
    "model.data_preprocessor.mean": ("a number for each band", _list_of(_number(-math.inf))),
    "model.data_preprocessor.std": (
        "a number above 0 for each band",
        _list_of(_number(math.ulp(0))),
    ),
    "model.decode_head.num_classes": COUNT,
    "model.decode_head.channels": COUNT,
    "model.decode_head.ham_channels": COUNT,
    "model.decode_head.dropout_ratio": SHARE,
    "model.decode_head.ham_kwargs.MD_R": COUNT,
    "model.decode_head.loss_decode*.loss_weight": NUMBER,
    "model.decode_head.loss_decode*.class_weight": WEIGHTS,
    # Of MSCAN; another backbone may give these names another meaning.
    "model.backbone.in_channels": COUNT,
    "model.backbone.embed_dims": FOUR_COUNTS,
    "model.backbone.depths": FOUR_COUNTS,
    "model.backbone.mlp_ratios": ("four numbers above 0", _list_of(_number(math.ulp(0)), 4)),
    "model.backbone.drop_path_rate": SHARE,
}


def check_config(config: Config, path: str) -> None:
    """Raise `UserError` for a key or a type that nothing reads, or a value that cannot work.

    Names at the top level may be variables of the file. They are refused only if they look like a
    misspelt key. Inside a component every key must be an argument of its class.
    """
    try:
        _check_sections(config)
        _check_values(config)
        with DefaultScope.overwrite_default_scope(registry.SCOPE):
            for key in TOP_LEVEL & set(config):
                _check_component(config[key], key)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _check_sections(config: Config) -> None:
    for key in (key for key in config if key not in TOP_LEVEL):
        swapped = [name for name in TOP_LEVEL if sorted(name) == sorted(key)]
        if hint := did_you_mean(key, swapped) or did_you_mean(key, TOP_LEVEL, cutoff=0.9):
            raise UserError(f"unknown key {key!r}{hint}")
    for name in LOADERS:
        if config.get(name) and not isinstance(config[name], Mapping):
            raise UserError(f"{name} = {config[name]!r:.80} is no dict(...)")
    for name, known in SECTIONS.items():
        if isinstance(config.get(name), Mapping):
            _check_keys(config[name], known, name)


def _check_component(value: Any, where: str, foreign: bool = False) -> None:
    """Check one part of a config, `where` is its dotted key.

    A part is `foreign` if it is the argument of another package's class. Its `type` may mean
    anything.
    """
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check_component(item, f"{where}[{i}]", foreign)
    if not isinstance(value, Mapping):
        return
    ours: set[str] = set()
    if isinstance(value.get("type"), str):
        component = _find(value["type"])
        if component is None and not foreign:
            raise _unknown(value["type"], where)
        known, ours = _arguments(component)
        if known is not None:
            _check_keys(value, known | READ_BY_BUILDERS, where)
        registry.check_types(component, value, where)
        if component is not None:
            foreign = not _is_ours(component)
    for key, item in value.items():
        _check_component(item, f"{where}.{key}", foreign and key not in ours)


def _find(name: str) -> Any:
    for each in registry.ALL:
        each.import_from_location()
        for known in (each, each.parent):
            if name in known.module_dict:
                return known.module_dict[name]
    # mmengine tries to import what it does not know, once per registry: costly for plain names.
    for each in registry.ALL if "." in name else ():
        with suppress(RuntimeError, TypeError):  # mmengine raises them for names like "" and "."
            if (component := each.get(name)) is not None:
                return component
    return None


def _unknown(name: str, where: str) -> UserError:
    known = {n for each in registry.ALL for r in (each, each.parent) for n in r.module_dict}
    # A name of another project, such as FPNHead, must not be taken for a misspelt one of ours.
    longer = [each for each in known if each.startswith(name)]
    hint = did_you_mean(name, known, cutoff=0.88) or did_you_mean(name, longer)
    return UserError(
        f"{where}.type = {shorten(name)!r} is not known{hint}; a class of your own needs "
        "custom_imports=dict(imports=[its module])"
    )


def _arguments(component: Any) -> tuple[set[str] | None, set[str]]:
    """Return the arguments that a class takes itself or passes to its bases; None means any.

    The second set holds those of them that a class of `PACKAGES` takes.
    """
    names: set[str] = set()
    ours: set[str] = set()
    for cls in getattr(component, "__mro__", ()):
        if "__init__" in vars(cls):
            parameters = inspect.signature(cls.__init__).parameters.values()
            own = {p.name for p in parameters if p.kind != p.VAR_KEYWORD} - {"self"}
            names |= own
            ours |= own if _is_ours(cls) else set()
            if not any(p.kind == p.VAR_KEYWORD for p in parameters):
                return names, ours
    return None, ours


def _is_ours(component: Any) -> bool:
    return component.__module__.partition(".")[0] in PACKAGES


def _check_keys(value: Mapping, known: set[str], where: str) -> None:
    for key in value:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"; known: {', '.join(sorted(known))}"
            raise UserError(f"unknown key {where}.{shorten(str(key))}{hint}")


def _check_values(config: Config) -> None:
    """Raise `UserError` with the key of a value that is no number or out of its range.

    Floats without a fraction become integers in the config where these are meant.
    """
    values, whole = dict(leaves(config.to_dict())), {}
    is_mscan = values.get("model.backbone.type") == "MSCAN"
    for key, value in values.items():
        for pattern, (words, test) in VALUES.items():
            applies = is_mscan or not pattern.startswith("model.backbone")
            if not applies or value is None or not fnmatchcase(key, pattern):
                continue
            if not test(value):
                raise UserError(f"{key}={shorten(repr(value))}: give {words}")
            if "whole number" in words:  # 4.0 and 1e5 count as 4 and 100000
                several = isinstance(value, list | tuple)
                whole[key] = type(value)(map(int, value)) if several else int(value)
    config.merge_from_dict(whole)
    _check_bands(config, values, is_mscan)
    if is_mscan:
        _check_widths(values)


def _check_bands(config: Config, values: Mapping[str, Any], is_mscan: bool) -> None:
    """Compare the numbers of bands that the data sets and the parts of the model state."""
    counts = {}
    for name in LOADERS:
        for part in parts_of((config.get(name) or {}).get("dataset") or {}):
            bands = (part.get("metainfo") or {}).get("bands")
            counts[f"{name}.dataset.metainfo.bands"] = len(bands or "RGB")
    if is_mscan:
        counts["model.backbone.in_channels"] = values.get("model.backbone.in_channels", 3)
    for key in ("model.data_preprocessor.mean", "model.data_preprocessor.std"):
        if values.get(key) is not None:
            counts[key] = len(values[key])
    for key, count in counts.items():
        first, expected = next(iter(counts.items()))
        if count != expected:
            raise UserError(f"{key} is for {count} bands, {first} for {expected}: make them agree")


def _check_widths(values: Mapping[str, Any]) -> None:
    """Compare the widths that the head expects with those of the encoder."""
    keys = ("backbone.embed_dims", "decode_head.in_index", "decode_head.in_channels")
    found: list[Any] = [values.get(f"model.{key}") for key in keys]
    if not all(isinstance(each, list | tuple) for each in found):
        return
    widths, index, channels = found
    if not all(map(_number(-4, 3, whole=True), index)):
        raise UserError(f"model.decode_head.in_index={index}: the encoder has the stages 0 to 3")
    expected = [widths[i] for i in index]
    if list(channels) != expected:
        raise UserError(
            f"model.decode_head.in_channels={list(channels)}: the stages {list(index)} of the "
            f"encoder have {expected} (model.backbone.embed_dims)"
        )
