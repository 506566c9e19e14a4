"""The registries. They are children of mmengine's, so configs find its classes and ours.

They compare the arguments of our classes with the annotations before they build one.
"""

import inspect
import numbers
import os
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from mmengine import registry as root
from mmengine.registry import Registry

from mmseg.errors import UserError, shorten

SCOPE = "mmseg"
# The values that annotations allow.
SIMPLE: dict[Any, Any] = {
    **{int: numbers.Integral, float: numbers.Real, bool: bool},
    **{str: str | os.PathLike, NoneType: NoneType},
}


ALL: list[Registry] = []


def check_types(component: Any, arguments: Mapping, where: str) -> None:
    """Raise `UserError` for an argument of another kind than a class of ours is annotated with.

    mmengine's bases of our data sets count as ours. `where` names the component in the error.
    """
    hints: dict[str, Any] = {}
    for cls in reversed(getattr(component, "__mro__", ())):
        if cls.__module__.startswith(("mmseg.", "mmengine.dataset.")) and "__init__" in vars(cls):
            hints |= get_type_hints(cls.__init__)
    for key, value in arguments.items():
        if key in hints and not _fits(value, hints[key]):
            kind = inspect.formatannotation(hints[key]).replace("collections.abc.", "")
            raise UserError(f"{where}.{key}={shorten(repr(value))}: give a value of type {kind}")


def _fits(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind in SIMPLE:
        return isinstance(value, SIMPLE[kind]) and (kind is bool or not isinstance(value, bool))
    if kind not in (list, tuple, Sequence):
        return True
    if kind is not tuple or Ellipsis in parts:  # of any length
        parts = (*parts, Any)[:1] * len(value) if isinstance(value, list | tuple) else ()
    return (
        isinstance(value, list | tuple)
        and len(value) == len(parts)
        and all(map(_fits, value, parts))
    )


def _child(parent: Registry, *locations: str) -> Registry:
    def build(cfg: Any, *args: Any, registry: Registry, **kwargs: Any) -> Any:
        if isinstance(cfg, Mapping) and isinstance(kind := cfg.get("type"), str):
            check_types(registry.get(kind), cfg, kind)
        return parent.build_func(cfg, *args, registry=registry, **kwargs)

    child = Registry(parent.name, build, parent=parent, scope=SCOPE, locations=list(locations))
    ALL.append(child)
    return child


DATASETS = _child(root.DATASETS, "mmseg.datasets")
TRANSFORMS = _child(root.TRANSFORMS, "mmseg.datasets.transforms")
MODELS = _child(root.MODELS, "mmseg.models")
METRICS = _child(root.METRICS, "mmseg.evaluation")
HOOKS = _child(root.HOOKS, "mmseg.engine")
RUNNERS = _child(root.RUNNERS, "mmseg.engine")
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, "mmseg.engine")
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, "mmseg.engine")
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, "mmseg.engine")
LOOPS = _child(root.LOOPS, "mmseg.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, "mmseg.engine")

# mmengine warns of every kind that a scope lacks, also of those to which this project adds nothing.
for _parent in (
    *(root.EVALUATOR, root.FUNCTIONS, root.INFERENCERS, root.LOG_PROCESSORS, root.MODEL_WRAPPERS),
    *(root.OPTIMIZERS, root.PARAM_SCHEDULERS, root.RUNNER_CONSTRUCTORS, root.TASK_UTILS),
    *(root.VISBACKENDS, root.VISUALIZERS),
):
    _child(_parent, "mmseg.engine")
