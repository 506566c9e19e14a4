"""Find misspelt keys and impossible values, while the key is known, before anything is built."""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Annotated, Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg import registry
from mmseg.config.parts import leaves, parts_of
from mmseg.errors import UserError, did_you_mean, shorten
from mmseg.registry import Count, NotNegative, Seed

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
Switch = Annotated[bool, "True or False", lambda v: True]
# Which values keys take that no class of ours is annotated with; a star stands for anything.
VALUES: dict[str, Any] = {
    "*_dataloader.batch_size": Count,
    "*_dataloader.num_workers": Annotated[int, "a whole number from 0", lambda v: v >= 0],
    "optim_wrapper.optimizer.lr": NotNegative,
    "optim_wrapper.accumulative_counts": Count,
    "randomness.seed": Seed,
    **dict.fromkeys(("compile*", "triton_kernels*"), Switch),
    "default_hooks.logger.interval": Count,
    "model.decode_head.ham_kwargs.MD_R": Count,
}


def check_config(config: Config) -> None:
    """Raise `UserError` for a key or a type that nothing reads, or a value that cannot work.

    Names at the top level may be variables of the file. They are refused only if they look like a
    misspelt key. Inside a component every key must be an argument of its class. Floats without a
    fraction become integers in the config where these are meant.
    """
    _check_sections(config)
    for key, value in leaves(config.to_dict()):
        for pattern, kind in VALUES.items():
            if value is not None and fnmatchcase(key, pattern):
                config.merge_from_dict({key: registry.fitted(value, kind, key)})
    with DefaultScope.overwrite_default_scope(registry.SCOPE):
        for key in TOP_LEVEL & set(config):
            _check_component(config[key], key)
    _check_bands(config)


def _check_sections(config: Config) -> None:
    for key in (key for key in config if key not in TOP_LEVEL):
        swapped = [name for name in TOP_LEVEL if sorted(name) == sorted(key)]
        if hint := did_you_mean(key, swapped) or did_you_mean(key, TOP_LEVEL, cutoff=0.9):
            raise UserError(f"unknown key {key!r}{hint}")
    constructor = (config.get("optim_wrapper") or {}).get("constructor")
    if isinstance(constructor, str) and _find(constructor) is None:
        raise UserError(
            f"optim_wrapper.constructor={constructor!r} is not known; "
            "optim_wrapper.paramwise_cfg.custom_keys sets rates by layer"
        )
    for name, known in SECTIONS.items():
        if isinstance(section := config.get(name), Mapping):
            _check_keys(section, known, name)
        elif section:
            raise UserError(f"{name} = {section!r:.80} is no dict(...)")


def _check_component(value: Any, where: str) -> None:
    """Check one part of a config, `where` is its dotted key.

    The arguments that only a class of another package takes may mean anything.
    """
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check_component(item, f"{where}[{i}]")
    if not isinstance(value, dict):
        return
    checked = {*value}
    if isinstance(value.get("type"), str):
        if (component := _find(value["type"])) is None:
            raise _unknown(value["type"], where)
        known, checked = _arguments(component)
        if known is not None:
            _check_keys(value, known | READ_BY_BUILDERS, where)
        value.update(registry.checked_arguments(component, value, where))
    for key, item in value.items():
        if key in checked:
            _check_component(item, f"{where}.{key}")


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
    named_here = getattr(component, "names_ours", True)
    return named_here and component.__module__.partition(".")[0] in PACKAGES


def _check_keys(value: Mapping, known: set[str], where: str) -> None:
    for key in value:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"; known: {', '.join(sorted(known))}"
            raise UserError(f"unknown key {where}.{shorten(str(key))}{hint}")


def _check_bands(config: Config) -> None:
    """Compare the numbers of bands that data sets, encoder and preprocessor state."""
    counts = {
        f"{name}.dataset.metainfo.bands": len((part.get("metainfo") or {}).get("bands") or "RGB")
        for name in LOADERS
        if config.get(name)  # a test has no loader for training
        for part in parts_of(config[name].get("dataset") or {})
    }
    model = config.get("model") or {}
    backbone, preprocessor = (model.get(key) or {} for key in ("backbone", "data_preprocessor"))
    if backbone.get("type") == "MSCAN":
        counts["model.backbone.in_channels"] = backbone.get("in_channels", 3)
    for key in ("mean", "std"):
        if isinstance(preprocessor.get(key), list | tuple):
            counts[f"model.data_preprocessor.{key}"] = len(preprocessor[key])
    for key, count in counts.items():
        first, expected = next(iter(counts.items()))
        if count != expected:
            raise UserError(f"{key} is for {count} bands, {first} for {expected}: make them agree")
