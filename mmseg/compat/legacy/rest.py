"""Refuse keys that the translation does not know."""

from collections.abc import Mapping

from mmseg.errors import UserError


def refuse_rest(section: Mapping, where: str) -> None:
    """Raise `UserError` if a key is left in a section; the translation removes what it reads."""
    for key, value in section.items():
        raise UserError(
            f"{where}.{key}={value!r} of MMSegmentation 0.x has no counterpart here; leave it out "
            "if you can do without it"
        )
