"""Find the counterpart here of a config that a file inherits from MMSegmentation (`mmseg::...`)."""

import re
from pathlib import Path

from mmengine.config import Config

from mmseg.errors import UserError

SEGNEXT = re.compile(r"mmseg::segnext/segnext_mscan-([tsbl])_.*ade20k-512x512\.py")
SIZES = {"t": "tiny", "s": "small", "b": "base", "l": "large"}
path_of_mmengine = Config._get_cfg_path


def base_path(name: str, inheriting: str) -> tuple[str, str | None]:
    """Return the path of a base as mmengine does, that of a SegNeXt of MMSegmentation here."""
    if not name.startswith("mmseg::"):
        return path_of_mmengine(name, inheriting)
    if not (found := SEGNEXT.fullmatch(name)):
        raise UserError(
            f"_base_ = {name!r} has no counterpart here: inherit a file of local_configs/"
        )
    size, root = SIZES[found[1]], Path(__file__).parents[2]
    root = root if (root / "local_configs").is_dir() else root / "segnext"  # when installed
    return f"{root}/local_configs/segnext/{size}/segnext.{size}.512x512.ade.160k.py", None
