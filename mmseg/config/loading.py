"""From a file name and command-line overrides to a checked config."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger

from mmseg.checkpoints import hub
from mmseg.compat.legacy import KNOWN, check_outdated, is_legacy, translate_legacy
from mmseg.compat.openmmlab import adapt_components
from mmseg.compat.shipped import own_bases
from mmseg.config.check import TOP_LEVEL, check_config
from mmseg.config.parts import leaves
from mmseg.errors import UserError, did_you_mean, reason, shorten

TEXTS = ("work_dir", "load_from", "experiment_name")  # a config may lack them


class Typed(str):
    """The value of an override as it was typed: a text, number or list, as the key needs."""


def load_config(path: str | Path, overrides: Mapping | None = None) -> Config:
    """Read a config file of any dialect and translate it; see `translate_config`.

    It may be that of `hf-hub:owner/name` on the Hugging Face Hub. Raises `UserError` for a missing
    file and for a file that is no config, too.
    """
    return translate_config(read_file(path), overrides)


def read_file(path: str | Path) -> Config:
    """Read a Python file as mmengine does; `UserError` if it is missing or cannot be read."""
    if hub.is_hub(path):
        file = hub.hub_file(path, hub.CONFIG)
        return Config(hub.read_config(file), filename=file)
    path = Path(path)
    if not path.is_file():
        nearby = [*path.parent.glob("*.py"), *Path("local_configs").rglob("*.py")]
        hint = did_you_mean(path.name, [file.name for file in nearby], cutoff=0.75)
        raise UserError(f"{path}: no such config{hint}")
    try:
        with own_bases():
            return Config.fromfile(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path}: inherits a file that inherits itself (_base_)") from error
    except (Exception, SystemExit) as error:  # a config is Python: anything can be raised
        cause: BaseException = error
        while isinstance(cause, ImportError) and (deeper := cause.__cause__ or cause.__context__):
            cause = deeper  # mmengine hides which import of `custom_imports` failed
        raise UserError(f"{path}: cannot be read as a config ({_one_line(cause)})") from error


def translate_config(config: Config | Mapping, overrides: Mapping | None = None) -> Config:
    """Return a config of any dialect in mmengine's, with this project's components, and check it.

    The argument stays as it is. `overrides` ('a.b.c': value) may name keys of the argument or of
    the result. A translated config stays as it is. Raises `UserError` for unknown keys and
    impossible values.
    """
    content = config.to_dict() if isinstance(config, Config) else dict(config)
    config = Config(content, filename=getattr(config, "filename", None))
    path = config.filename or "the config"
    overrides = dict(overrides or {})
    written = {key: overrides.pop(key) for key in list(overrides) if key.split(".")[0] in config}
    _override(config, written, path)
    try:
        if is_legacy(config):
            config = Config(translate_legacy(config.to_dict()), filename=config.filename)
        _override(config, overrides, path)
        _take_out_fast_ops(config)
        check_outdated(config)
        adapt_components(config)
        check_config(config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # A section has another kind than any dialect gives it, such as a list for a dict.
        raise UserError(f"{path}: cannot be read as a config ({_one_line(error)})") from error
    return config


def _override(config: Config, overrides: Mapping, path: str) -> None:
    known = {"fast_ops", *(KNOWN if is_legacy(config) else TOP_LEVEL)}
    for key in overrides:
        if (first := key.split(".")[0]) in known:
            continue
        if first in config:
            raise UserError(
                f"--cfg-options {key}: {first} is a variable of {path}, and changing it now has no "
                "effect; change the keys that use it"
            )
        raise UserError(f"--cfg-options {key}: {path} has no {first!r}")
    try:
        config.merge_from_dict({key: _meant(key, overrides[key], config) for key in overrides})
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"--cfg-options: {_one_line(error)}") from error


def _meant(key: str, value: Any, config: Config) -> Any:
    """Return a `Typed` override as the kind of value that the key holds, others as they are."""
    if not isinstance(value, Typed):
        return value
    held = dict(leaves(config.to_dict())).get(re.sub(r"\.(\d+)", r"[\1]", key))
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    text = value[1:-1] if quoted else str(value)
    if quoted or ((isinstance(held, str) or key in TEXTS) and value != "None"):
        return text
    try:
        read = DictAction._parse_iterable(text)
    except (AssertionError, RecursionError) as error:
        pair = f"--cfg-options {key}={shorten(text)}"
        raise UserError(f"{pair}: no number, list or text; write it into the config") from error
    return text if isinstance(read, str) else read


def _take_out_fast_ops(config: Config) -> None:
    """Remove the key that chose between implementations in earlier versions of this project."""
    if (value := config.pop("fast_ops", None)) is not None:
        config.triton_kernels = value == "triton" or config.get("triton_kernels", False)
        MMLogger.get_current_instance().info(
            f"fast_ops={value!r} is a key of an earlier version: remove it from the config; "
            f"triton_kernels={config.triton_kernels} is set"
        )


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {reason(error, 400)}"
