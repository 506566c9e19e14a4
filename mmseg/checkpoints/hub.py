"""Models on the Hugging Face Hub: `hf-hub:owner/name`, or `hf-hub:owner/name@revision`.

Nothing in a repository is executed: the weights are no pickle, and the config is JSON whose names
lead to no Python code.
"""

import json
import re
from pathlib import Path
from typing import Any

from mmseg.errors import UserError, reason, shorten
from mmseg.files import read_text

WEIGHTS, CONFIG, CARD = FILES = ("model.safetensors", "config.json", "README.md")
REPOSITORY = r"[\w.-]+/[\w.-]+"
# mmengine imports what these keys name, if the name has dots. A scope is a package to import, and
# timm may unpickle the file of `checkpoint_path`.
NAMES, CODE = ("type", "constructor"), ("custom_imports", "_scope_", "checkpoint_path")


def is_hub(name: object) -> bool:
    """Return whether a text names a model on the Hub."""
    return str(name).startswith("hf-hub:")


def hub_file(name: object, file: str) -> str:
    """Return the path of a repository's file in the cache; `UserError` if it cannot be had."""
    from huggingface_hub import errors, hf_hub_download  # here: half a second

    parts = re.fullmatch(rf"hf-hub:({REPOSITORY})(?:@(\S+))?", str(name))
    if not parts:
        raise UserError(f"{name}: write hf-hub:OWNER/NAME or hf-hub:OWNER/NAME@REVISION")
    causes = {
        errors.RepositoryNotFoundError: "no such repository, or none that your token may read",
        errors.RevisionNotFoundError: "the repository has no such revision",
        errors.LocalEntryNotFoundError: f"cannot be reached, and {file} is not in the cache",
        errors.EntryNotFoundError: f"has no {file}; no other file is read, and no pickle",
    }
    try:
        return hf_hub_download(parts[1], file, revision=parts[2])
    except Exception as error:  # of the network, of the Hub, of the disk
        cause = next((text for kind, text in causes.items() if isinstance(error, kind)), None)
        raise UserError(f"{name}: {cause or reason(error)}") from error


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a config as JSON; `UserError` for one of another program or with Python code."""
    try:
        config = _checked(json.loads(read_text(path)), path)
        config["model"], config["test_dataloader"]
    except (json.JSONDecodeError, RecursionError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: is damaged or of another program ({reason(error)}); read is what "
            "tools/publish_model.py --to-hub writes"
        ) from error
    return config


def _checked(value: Any, path: object) -> Any:
    """Return JSON without names of code; two whole numbers are a size, for mmcv a tuple."""
    if isinstance(value, list):
        items = [_checked(item, path) for item in value]
        return tuple(items) if [*map(type, items)] == [int, int] else items
    if not isinstance(value, dict):
        return value
    for key, item in value.items():
        if key in CODE or (key in NAMES and not str(item).isidentifier()):
            raise UserError(
                f"{path}: {key}={shorten(repr(item))} would run Python code; a config of the Hub "
                "names the classes of this project alone"
            )
    return {key: _checked(item, path) for key, item in value.items()}
