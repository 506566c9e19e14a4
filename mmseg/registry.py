"""The registries. They are children of mmengine's, so configs find its classes and ours.

They compare the arguments of our classes with the annotations before they build one.
"""

import inspect
import math
import numbers
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from mmengine import registry as root
from mmengine.registry import Registry

from mmseg.errors import UserError, shorten

SCOPE = "mmseg"
# The values that annotations allow.
SIMPLE: dict[Any, Any] = {int: numbers.Integral, float: numbers.Real, bool: bool}
SIMPLE |= {str: str | os.PathLike, NoneType: NoneType}
# `Annotated[kind, which values are allowed in words, the test of a value]`.
Count = Annotated[int, "a whole number from 1", lambda v: v >= 1]
Seed = Annotated[int, "a whole number from 0 to 2**32 - 1", lambda v: 0 <= v < 2**32]
CountOrOff = Annotated[int, "a whole number from 1, or -1", lambda v: v >= 1 or v == -1]
NotNegative = Annotated[float, "a number from 0", lambda v: 0 <= v < math.inf]
Share = Annotated[float, "a number from 0 to below 1", lambda v: 0 <= v < 1]
FourCounts = Annotated[
    Sequence[int], "four whole numbers from 1", lambda v: len(v) == 4 and min(v) >= 1
]
FourRatios = Annotated[
    Sequence[float],
    "four numbers above 0",
    lambda v: len(v) == 4 and all(0 < x < math.inf for x in v),
]
Means = Annotated[
    Sequence[float], "a number for each band", lambda v: v and all(map(math.isfinite, v))
]
Deviations = Annotated[
    Sequence[float],
    "a number above 0 for each band",
    lambda v: v and all(0 < x < math.inf for x in v),
]
Weights = Annotated[
    Sequence[float],
    "numbers from 0, not all of them 0",
    lambda v: 0 < sum(v) < math.inf and min(v) >= 0,
]
ALL: list[Registry] = []


def checked_arguments(component: Any, arguments: Mapping, where: str) -> dict[str, Any]:
    """Return the arguments as a class of ours is annotated to take them: 4.0 counts as 4.

    mmengine's bases of our data sets count as ours. `where` names the component in the error.
    Raises `UserError` for an argument of another kind.
    """
    hints: dict[str, Any] = {}
    for cls in reversed(getattr(component, "__mro__", ())):
        if cls.__module__.startswith(("mmseg.", "mmengine.dataset.")) and "__init__" in vars(cls):
            hints |= get_type_hints(cls.__init__, include_extras=True)
    return {
        key: fitted(value, hints[key], f"{where}.{key}") if key in hints else value
        for key, value in arguments.items()
    }


def fitted(value: Any, hint: Any, where: str) -> Any:
    """Return a value as an annotation means it, or raise `UserError` with the key `where`."""
    try:
        return _fitted(value, hint)
    except ValueError as error:
        kind = inspect.formatannotation(hint).replace("collections.abc.", "")
        forms = (get_args(x) for x in (hint, *get_args(hint)) if get_origin(x) is Annotated)
        words = next(forms, (hint, f"a value of type {kind}"))[1]
        raise UserError(f"{where}={shorten(repr(value))}: give {words}") from error


def _fitted(value: Any, hint: Any) -> Any:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        for part in parts:
            with suppress(ValueError):
                return _fitted(value, part)
        raise ValueError
    fits = True
    if kind is Annotated:
        value = _fitted(value, parts[0])
        fits = parts[2](value)
    elif kind in SIMPLE:
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        fits = isinstance(value, SIMPLE[kind]) and (kind is bool or not isinstance(value, bool))
    elif kind is Mapping:
        fits = isinstance(value, Mapping)
    elif kind in (list, tuple, Sequence):
        fits = isinstance(value, list | tuple)
        if fits and (kind is not tuple or Ellipsis in parts):  # of any length
            parts = (*parts, Any)[:1] * len(value)
        items = [_fitted(*pair) for pair in zip(value, parts, strict=True)] if fits else value
        value = tuple(items) if isinstance(value, tuple) else items
    if not fits:
        raise ValueError
    return value


def _child(parent: Registry, location: str) -> Registry:
    def build(cfg: Any, *args: Any, registry: Registry, **kwargs: Any) -> Any:
        if isinstance(cfg, Mapping) and isinstance(kind := cfg.get("type"), str):
            cfg = checked_arguments(registry.get(kind), cfg, kind)
        return parent.build_func(cfg, *args, registry=registry, **kwargs)

    child = Registry(parent.name, build, parent=parent, scope=SCOPE, locations=[location])
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
for _parent in vars(root).values():
    if isinstance(_parent, Registry) and SCOPE not in _parent.children:
        _child(_parent, "mmseg.engine")
