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
    """Return the file below `local_configs` that stands for `name` of MMSegmentation's `configs`.

    It is SegNeXt on ADE20K of the same size, or the file of the same path.
    """
    if found := SEGNEXT.fullmatch(name):
        size = SIZES[found[1]]
        name = f"segnext/{size}/segnext.{size}.512x512.ade.160k.py"
    root = Path(__file__).parents[2]
    for folder in (root, root / "segnext"):  # of a checkout, and of an installation
        if (path := folder / "local_configs" / name).is_file():
            return path
    raise UserError(
        f"_base_ = 'mmseg::{name}' has no counterpart here: inherit a file of local_configs/"
    )


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
