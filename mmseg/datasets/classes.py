"""The classes of a data set and their colours: how they are written down, and what is refused."""

import math
from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb

import numpy as np

from mmseg.errors import UserError, shorten
from mmseg.imagery.bands import BITS
from mmseg.imagery.mask import IGNORE_INDEX


def metainfo(classes: str, palette: str) -> dict:
    """Read "wall, traffic light" and a hexadecimal RRGGBB per class, separated by spaces."""
    return {
        "classes": tuple(name.strip() for name in classes.split(",")),
        "palette": [tuple(bytes.fromhex(colour)) for colour in palette.split()],
    }


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


def palette_of(classes: Sequence[str], own: Mapping) -> list[tuple[int, int, int]]:
    """Return the colours of classes in the metainfo `own`, or others that are easy to tell apart.

    Neighbours on the colour circle are as far apart as the golden ratio lays them; brightness
    changes too. The colours depend on the number of classes alone.
    """
    if "palette" in own and set(classes) <= set(own["classes"]):
        colours = dict(zip(own["classes"], own["palette"], strict=True))
        return [colours[name] for name in classes]
    hues = [(i * 0.618034) % 1 for i in range(len(classes))]
    shades = [(1 - 0.3 * (i % 3) / 2, 1 - 0.4 * (i % 2)) for i in range(len(classes))]
    drawn = [hsv_to_rgb(hue, *shade) for hue, shade in zip(hues, shades, strict=True)]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in drawn]


def check_classes(info: Mapping, own: Sequence[str] | None, dataset: str) -> None:
    """Raise `UserError` if the metainfo of a data set lacks or contradicts something.

    `own` are the classes that the class of the data set states, whose ids the masks hold.
    """
    for key in ("classes", "palette"):
        if key not in info:
            raise UserError(f"{dataset}: the config's metainfo=dict(...) lacks {key!r}")
    if isinstance(classes := info["classes"], str):
        raise UserError(f"{dataset}: classes is the text {classes!r}; write ({classes!r},)")
    count, colour_count = len(info["classes"]), len(info["palette"])
    if count > IGNORE_INDEX:
        raise UserError(
            f"{dataset}: metainfo has {count} classes; masks of 8 bits hold {IGNORE_INDEX} at "
            f"most, and {IGNORE_INDEX} is ignored"
        )
    if own is not None and (other := [name for name in info["classes"] if name not in own]):
        raise UserError(
            f"{dataset}: the config names other classes than its {len(own)}, whose ids the masks "
            f"hold: {shorten(other[0])!r}; for a data set of your own use type='BaseSegDataset'"
        )
    if count != colour_count:
        counts = f"{count} classes and {colour_count} colours"
        raise UserError(f"{dataset}: metainfo has {counts} in its palette: give a colour per class")
    for colour in info["palette"]:
        parts = np.asarray(colour)
        if parts.shape != (3,) or parts.dtype.kind not in "iu" or (parts != parts % 256).any():
            raise UserError(
                f"{dataset}: metainfo.palette has {colour!r:.80}; give (R, G, B) of whole numbers "
                "from 0 to 255 for each class"
            )


def check_bands(info: Mapping, dataset: str) -> None:
    """Raise `UserError` if the metainfo of a data set has bands, bits or a gsd that cannot be."""
    bands, bits, gsd = (info.get(key) for key in ("bands", "bits", "gsd"))
    if bands is not None and not (bands and all(isinstance(b, str) for b in bands)):
        raise UserError(f"{dataset}: metainfo.bands={bands}: list the names of the bands")
    if bands is not None and len(set(bands)) != len(bands):
        raise UserError(f"{dataset}: metainfo.bands={bands}: a name stands there twice")
    if bits not in (None, *BITS) or (bits not in (None, "uint8") and bands is None):
        raise UserError(
            f"{dataset}: metainfo.bits={bits!r}: use one of {', '.join(BITS)}, and name the bands "
            "too (metainfo.bands)"
        )
    if gsd is not None and not (isinstance(gsd, int | float) and 0 < gsd < math.inf):
        raise UserError(f"{dataset}: metainfo.gsd={gsd!r}: give the metres that a pixel covers")


def single_class_advice(name: str) -> str:
    """Say that masks hold a single class, and the usual reason for it."""
    return (
        f"hold no other class than {name}; if {IGNORE_INDEX}, which is ignored, is to be a class, "
        "write its id instead"
    )
