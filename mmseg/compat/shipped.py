"""Find the counterpart here of a config that a file inherits from MMSegmentation (`mmseg::...`)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from mmseg.errors import UserError

SEGNEXT = re.compile(r"segnext/segnext_mscan-([tsbl])_.*ade20k-512x512\.py")
SIZES = {"t": "tiny", "s": "small", "b": "base", "l": "large"}


def shipped_config(name: str) -> Path:
    """Return the config here of the SegNeXt that `name` is in MMSegmentation's `configs`."""
    found = SEGNEXT.fullmatch(name)
    if not found:
        raise UserError(
            f"_base_ = 'mmseg::{name}' has no counterpart here: inherit a file of local_configs/"
        )
    size, root = SIZES[found[1]], Path(__file__).parents[2]
    root = root if (root / "local_configs").is_dir() else root / "segnext"  # when installed
    return root / f"local_configs/segnext/{size}/segnext.{size}.512x512.ade.160k.py"


@contextmanager
def own_bases() -> Iterator[None]:
    """Let mmengine find `_base_ = 'mmseg::...'` here; its own way needs MMSegmentation."""
    original = Config._get_cfg_path

    def find(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith("mmseg::"):
            return str(shipped_config(cfg_path.removeprefix("mmseg::"))), None
        return original(cfg_path, filename)

    Config._get_cfg_path = staticmethod(find)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(original)
