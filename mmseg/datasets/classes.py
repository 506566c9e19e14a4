"""What a config says of a data set: its classes, colours, bands and files, and what is refused."""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from colorsys import hsv_to_rgb
from typing import Any

import numpy as np

from mmseg.config.parts import steps_of
from mmseg.errors import UserError, shorten
from mmseg.imagery.bands import BITS
from mmseg.imagery.mask import IGNORE_INDEX

Colour = tuple[int, int, int]
FOLDERS = {"img_path": "", "seg_map_path": ""}


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


def check_arguments(
    prefix: Mapping, ignore_index: int, on_bad_sample: str, subset: Mapping | None
) -> None:
    """Raise `UserError` for arguments of a data set that cannot be right."""
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
    if subset is None:
        return
    if set(subset) - {"rest"} != {"fraction", "seed"}:
        raise UserError(f"subset={dict(subset)}: give dict(fraction=..., seed=...[, rest=True])")
    if not 0 < subset["fraction"] <= 1:
        raise UserError(f"subset.fraction={subset['fraction']}: give a share, from 0 to 1")
