"""Parts of a config: its single data sets, their steps, and its values with their dotted keys."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any


def parts_of(cfg: Mapping) -> list[Any]:
    """Return the configs of the single data sets; `cfg` may join or repeat several."""
    inner = cfg.get("datasets") or ([cfg["dataset"]] if "dataset" in cfg else [])
    return [part for each in inner for part in parts_of(each)] if inner else [cfg]


def steps_of(pipeline: Any, kind: str) -> Iterator[Any]:
    """Yield the configs of a kind of step in a pipeline, also those of nested pipelines."""
    for step in pipeline:
        if isinstance(step, Mapping):
            if step.get("type") == kind:
                yield step
            step = step.get("transforms", ())
        if isinstance(step, list | tuple):
            yield from steps_of(step, kind)


def leaves(value: Any, where: str = "", skipped: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of everything in nested dictionaries and lists of them.

    Values below a key of `skipped` are left out.
    """
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            if key not in skipped:
                yield from leaves(item, f"{where}.{key}" if where else str(key), skipped)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value):
            yield from leaves(item, f"{where}[{i}]", skipped)
    else:
        yield where, value
