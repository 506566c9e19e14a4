"""What a config says of a data set: its classes, colours, bands and files, and what is refused."""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from colorsys import hsv_to_rgb
from typing import Annotated, Any

import numpy as np

from mmseg.config.parts import steps_of
from mmseg.errors import UserError, shorten
from mmseg.imagery.bands import BITS
from mmseg.imagery.mask import IGNORE_INDEX
from mmseg.registry import fitted

FOLDERS = {"img_path": "", "seg_map_path": ""}
Colour = tuple[int, int, int]


def _is_colour(value: Any) -> bool:
    parts = np.asarray(value)
    return parts.shape == (3,) and parts.dtype.kind in "iu" and bool((parts == parts % 256).all())


def _are_folders(prefix: Mapping) -> bool:
    folders = [isinstance(each, str | os.PathLike | None) for each in prefix.values()]
    return set(prefix) <= set(FOLDERS) and all(folders)


def _is_subset(value: Mapping) -> bool:
    return set(value) - {"rest"} == {"fraction", "seed"} and 0 < value["fraction"] <= 1


# Arguments of a data set.
Folders = Annotated[
    Mapping, "img_path and seg_map_path, a folder each, or ConcatDataset", _are_folders
]
Subset = Annotated[
    Mapping, "dict(fraction=..., seed=...[, rest=True]), a share up to 1", _is_subset
]
Reaction = Annotated[str, "'raise' or 'skip'", lambda v: v in ("raise", "skip")]
Ignored = Annotated[int, f"{IGNORE_INDEX}, no other is ignored", lambda v: v == IGNORE_INDEX]
# What `metainfo` holds, and each colour of its palette.
KINDS: dict[str, Any] = {
    "classes": Annotated[
        Sequence[str],
        "a tuple or list of texts, 255 at most (masks have 8 bits)",
        lambda v: len(v) <= IGNORE_INDEX,
    ],
    "bands": Annotated[
        Sequence[str], "a tuple or list of texts, each once", lambda v: 0 < len(v) == len({*v})
    ],
    "bits": Annotated[str, f"one of {', '.join(BITS)}", lambda v: v in BITS],
    "gsd": Annotated[float, "the metres that a pixel covers", lambda v: 0 < v < math.inf],
}
PALETTE_COLOUR = Annotated[Any, "(R, G, B) of whole numbers from 0 to 255", _is_colour]


def distinct_colours(known: Sequence[Colour | None]) -> list[Colour]:
    """Return the colour of each class: the known one, or for None hues a golden angle apart."""
    colours = []
    for i, given in enumerate(known):
        hue, saturation = (0.33 + i * 0.618034) % 1, (0.85, 0.55, 0.7)[i % 3]
        red, green, blue = hsv_to_rgb(hue, saturation, (0.9, 0.65)[i % 2])
        colours.append(given or (round(255 * red), round(255 * green), round(255 * blue)))
    return colours


def check_metainfo(info: Mapping, own: Sequence[str] | None, dataset: str) -> None:
    """Raise `UserError` if the metainfo of a data set lacks or contradicts something.

    `own` are the classes that the class of the data set states, whose ids the masks hold.
    """
    for key in ("classes", "palette"):
        if key not in info:
            raise UserError(f"{dataset}: the config's metainfo=dict(...) lacks {key!r}")
    for key in (key for key in KINDS if info.get(key) is not None):
        fitted(info[key], KINDS[key], f"{dataset}: metainfo.{key}")
    classes, palette = info["classes"], info["palette"]
    if other := [name for name in classes if name not in (own or classes)]:
        raise UserError(
            f"{dataset}: the config names other classes than its {len(own or ())}, whose ids the "
            f"masks hold: {shorten(other[0])!r}; for a data set of your own use "
            "type='BaseSegDataset'"
        )
    if len(classes) != len(palette):
        counts = f"{len(classes)} classes and {len(palette)} colours"
        raise UserError(f"{dataset}: metainfo has {counts} in its palette: give a colour per class")
    for index, colour in enumerate(palette):
        fitted(colour, PALETTE_COLOUR, f"{dataset}: metainfo.palette[{index}]")
    if (info.get("bits") or "uint8") != "uint8" and not info.get("bands"):
        raise UserError(f"{dataset}: metainfo.bits={info['bits']}: name the bands too")


def lonely_class(found: Collection[int], classes: Sequence[str]) -> str | None:
    """Say that masks hold one of several classes only, and the usual reason for it."""
    if len(found) != 1 or len(classes) == 1:
        return None
    return (
        f"hold no other class than {classes[min(found)]}; if {IGNORE_INDEX}, which is ignored, is "
        "to be a class, write its id instead"
    )


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
