"""From a file name and command-line overrides to a checked config."""

import difflib
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from mmseg.config.check import check_config
from mmseg.errors import UserError, shorten


def load_config(path: str | Path, overrides: Mapping | None = None) -> Config:
    """Read a config file, apply overrides ('a.b.c': value) and check every key.

    Raises `UserError` for a missing file, a file that is no config, and unknown keys.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such config{_similar(path)}")
    try:
        config = Config.fromfile(path)
    except (Exception, SystemExit) as error:  # a config is Python: anything can be raised
        raise UserError(f"{path}: cannot be read as a config ({_one_line(error)})") from error
    for key in overrides or {}:
        if key.split(".")[0] not in config:
            raise UserError(f"--cfg-options {key}: {path} has no {key.split('.')[0]!r}")
    try:
        config.merge_from_dict(dict(overrides or {}))
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"--cfg-options: {_one_line(error)}") from error
    check_config(config, str(path))
    return config


def _one_line(error: BaseException) -> str:
    return shorten(f"{type(error).__name__}: {' '.join(str(error).split())}", 400)


def _similar(path: Path) -> str:
    nearby = [*path.parent.glob("*.py"), *Path("local_configs").rglob("*.py")]
    names = {file.name: file for file in nearby}
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"; did you mean {names[close[0]]}?" if close else ""
