"""The classes of a data set and their colours: how they are written down, and what is refused."""

import math
from collections.abc import Mapping, Sequence

from mmseg.errors import UserError
from mmseg.imagery.bands import BITS
from mmseg.imagery.mask import IGNORE_INDEX


def metainfo(classes: str, palette: str) -> dict:
    """Read "wall, traffic light" and a hexadecimal RRGGBB per class, separated by spaces."""
    return {
        "classes": tuple(name.strip() for name in classes.split(",")),
        "palette": [tuple(bytes.fromhex(colour)) for colour in palette.split()],
    }


def check_classes(info: Mapping, own: Sequence[str] | None, dataset: str) -> None:
    """Raise `UserError` if the metainfo of a data set lacks or contradicts something.

    `own` are the classes that the class of the data set states, whose ids the masks hold.
    """
    for key in ("classes", "palette"):
        if key not in info:
            raise UserError(f"{dataset}: the config's metainfo=dict(...) lacks {key!r}")
    count, colour_count = len(info["classes"]), len(info["palette"])
    if count > IGNORE_INDEX:
        raise UserError(
            f"{dataset}: metainfo has {count} classes; masks of 8 bits hold {IGNORE_INDEX} at "
            f"most, and {IGNORE_INDEX} is ignored"
        )
    if own is not None and list(info["classes"]) != list(own):
        raise UserError(
            f"{dataset}: the config names other classes than its {len(own)}, whose ids the masks "
            "hold; for a data set of your own use type='BaseSegDataset'"
        )
    if count != colour_count:
        raise UserError(
            f"{dataset}: metainfo has {count} classes and {colour_count} colours in its palette: "
            "give one colour per class"
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
