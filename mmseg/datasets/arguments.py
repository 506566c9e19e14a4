"""Refuse arguments of a data set that cannot be right, before a file is listed."""

import os
from collections.abc import Mapping

from mmseg.config.parts import steps_of
from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX

FOLDERS = {"img_path": "", "seg_map_path": ""}


def agreed_zero_label(kind: type, given: bool | None, options: Mapping) -> bool | None:
    """Return the one `reduce_zero_label` that a data set states, None if it states none.

    It may be an argument, a key of `metainfo` or a key of `LoadAnnotations` in the pipeline. Raises
    `UserError` if they differ from each other or from what the masks of a class of ours need. A
    class that the user wrote for MMSegmentation states it in its own constructor.
    """
    steps = steps_of(options.get("pipeline", ()), "LoadAnnotations")
    places = [options.get("metainfo") or {}, *steps]
    stated = {given, *(place.get("reduce_zero_label") for place in places)} - {None}
    if len(stated) > 1:
        raise UserError("reduce_zero_label is True in one place and False in another")
    value = next(iter(stated), None)
    author = next((cls for cls in kind.__mro__ if vars(cls).get("METAINFO")), None)
    own = getattr(kind, "reduce_zero_label", None)
    if author and author.__module__ == "mmseg.datasets.known" and value not in (None, own):
        raise UserError(
            f"{kind.__name__}: reduce_zero_label={value}, but its masks need {own}, says the "
            "class; leave the argument out"
        )
    return value


def check_choices(prefix: Mapping, ignore_index: int, on_bad_sample: str) -> None:
    """Raise `UserError` for folders and choices that nothing reads."""
    if unknown := set(prefix) - set(FOLDERS):
        raise UserError(
            f"data_prefix: nothing reads {', '.join(map(repr, sorted(unknown)))}; it has "
            "img_path and seg_map_path"
        )
    for key, folder in prefix.items():
        if not isinstance(folder, str | os.PathLike | None):
            raise UserError(f"data_prefix.{key}={folder!r}: give one folder, or ConcatDataset")
    if ignore_index != IGNORE_INDEX:
        raise UserError(f"ignore_index={ignore_index}: only {IGNORE_INDEX} is ignored here")
    if on_bad_sample not in ("raise", "skip"):
        raise UserError(f"on_bad_sample={on_bad_sample!r}: use 'raise' or 'skip'")


def check_subset(subset: Mapping | None) -> None:
    """Raise `UserError` if the argument `subset` is not as it should be."""
    if subset is None:
        return
    if set(subset) - {"rest"} != {"fraction", "seed"}:
        raise UserError(f"subset={dict(subset)}: give dict(fraction=..., seed=...[, rest=True])")
    if not 0 < subset["fraction"] <= 1:
        raise UserError(f"subset.fraction={subset['fraction']}: give a share, from 0 to 1")
