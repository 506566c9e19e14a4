"""What a translation has not taken out of a section."""

from collections.abc import Mapping

from mmseg.errors import UserError


def refuse_rest(section: Mapping, where: str) -> None:
    """Raise `UserError` for a key that the translation has not taken out of a section."""
    for key, value in section.items():
        raise UserError(
            f"{where}.{key}={value!r} of MMSegmentation 0.x has no counterpart here; leave it out "
            "if you can do without it"
        )
