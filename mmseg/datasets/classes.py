"""The classes of a data set and their colours: how they are written down, and what is refused."""

import math
from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from typing import Any

import numpy as np

from mmseg.errors import UserError, shorten
from mmseg.imagery.bands import BITS
from mmseg.imagery.mask import IGNORE_INDEX

Colour = tuple[int, int, int]


def label_map(classes: Sequence[str], own: Sequence[str] | None) -> dict[int, int] | None:
    """Return the new id of each of the `own` classes of a data set; those left out are ignored.

    None means that the classes are the own ones, or that the data set states none.
    """
    if own is None or list(classes) == list(own):
        return None
    return {
        old: classes.index(name) if name in classes else IGNORE_INDEX
        for old, name in enumerate(own)
    }


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
    if problem := _problem(info, own or info.get("classes", ())):
        raise UserError(f"{dataset}: {problem}")


def _problem(info: Mapping, own: Sequence[str]) -> str | None:
    for key in ("classes", "palette"):
        if key not in info:
            return f"the config's metainfo=dict(...) lacks {key!r}"
    classes, palette = info["classes"], info["palette"]
    if isinstance(classes, str):
        return f"classes is the text {classes!r}; write ({classes!r},)"
    if len(classes) > IGNORE_INDEX:
        return (
            f"metainfo has {len(classes)} classes; masks of 8 bits hold {IGNORE_INDEX} at most, "
            f"and {IGNORE_INDEX} is ignored"
        )
    if other := [name for name in classes if name not in own]:
        return (
            f"the config names other classes than its {len(own)}, whose ids the masks hold: "
            f"{shorten(other[0])!r}; for a data set of your own use type='BaseSegDataset'"
        )
    if len(classes) != len(palette):
        counts = f"{len(classes)} classes and {len(palette)} colours"
        return f"metainfo has {counts} in its palette: give a colour per class"
    for parts in map(np.asarray, palette):
        if parts.shape != (3,) or parts.dtype.kind not in "iu" or (parts != parts % 256).any():
            return (
                f"metainfo.palette has {parts.tolist()!r:.80}; give (R, G, B) of whole numbers "
                "from 0 to 255 for each class"
            )
    return _problem_of_bands(*(info.get(key) for key in ("bands", "bits", "gsd")))


def _problem_of_bands(bands: Any, bits: Any, gsd: Any) -> str | None:
    if bands is not None and not (bands and all(isinstance(b, str) for b in bands)):
        return f"metainfo.bands={bands}: list the names of the bands"
    if len(set(bands or ())) != len(bands or ()):
        return f"metainfo.bands={bands}: a name stands there twice"
    if bits not in (None, *BITS) or (bits not in (None, "uint8") and bands is None):
        return (
            f"metainfo.bits={bits!r}: use one of {', '.join(BITS)}, and name the bands too "
            "(metainfo.bands)"
        )
    if gsd is not None and not (isinstance(gsd, int | float) and 0 < gsd < math.inf):
        return f"metainfo.gsd={gsd!r}: give the metres that a pixel covers"
    return None


def single_class_advice(name: str) -> str:
    """Say that masks hold a single class, and the usual reason for it."""
    return (
        f"hold no other class than {name}; if {IGNORE_INDEX}, which is ignored, is to be a class, "
        "write its id instead"
    )
