"""Errors that name what is nearest."""

import difflib
from collections.abc import Iterable, Mapping

from mmseg.errors import UserError


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean ...?" with the nearest of the known names, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


def refuse_rest(section: Mapping, where: str) -> None:
    """Raise `UserError` for a key that the translation has not taken out of a section."""
    for key, value in section.items():
        raise UserError(
            f"{where}.{key}={value!r} of MMSegmentation 0.x has no counterpart here; leave it out "
            "if you can do without it"
        )
