"""Parts of a config: its single data sets, and its values with their dotted keys."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any


def parts_of(cfg: Mapping) -> list[Any]:
    """Return the configs of the single data sets; `cfg` may join or repeat several."""
    inner = cfg.get("datasets") or ([cfg["dataset"]] if "dataset" in cfg else [])
    return [part for each in inner for part in parts_of(each)] if inner else [cfg]


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


def drop_masks(cfg: Mapping) -> None:
    """Change the config of data sets so that they read no masks."""
    for part in parts_of(cfg):
        part["data_prefix"].pop("seg_map_path", None)
        part["pipeline"] = _without_annotations(part["pipeline"])


def _without_annotations(steps: Sequence) -> list:
    """Return a pipeline without LoadAnnotations; TestTimeAug holds lists of alternative steps."""
    kept = [step for step in steps if step["type"] != "LoadAnnotations"]
    for step in kept:
        if step["type"] == "TestTimeAug":
            inner = map(_without_annotations, step["transforms"])
            step["transforms"] = [alternatives for alternatives in inner if alternatives]
    return kept
