"""The classes of a data set and their colours: how they are written down, and what is refused."""

from collections.abc import Mapping, Sequence

import numpy as np

from mmseg.errors import UserError
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
    if isinstance(classes := info["classes"], str):
        raise UserError(f"{dataset}: classes is the text {classes!r}; write ({classes!r},)")
    count, colour_count = len(info["classes"]), len(info["palette"])
    if count > IGNORE_INDEX:
        raise UserError(f"{dataset}: metainfo has {count} classes; masks hold 255 at most")
    if own is not None and list(info["classes"]) != list(own):
        raise UserError(
            f"{dataset}: the config names other classes than its {len(own)}, whose ids the masks "
            "hold; for a data set of your own use type='BaseSegDataset'"
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


def single_class_advice(name: str) -> str:
    """Say that masks hold a single class, and the usual reason for it."""
    return (
        f"hold no other class than {name}; if {IGNORE_INDEX}, which is ignored, is to be a class, "
        "write its id instead"
    )
