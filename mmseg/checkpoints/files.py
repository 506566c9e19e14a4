"""Read and write checkpoint files; nothing in them is ever executed.

A `.pth` file is a pickle, which can name any function and have it called. Here a file may only name
what real checkpoints of mmcv 1.x, mmengine and this project hold. A file with any other name is
refused. The runner, the tools and `init_cfg` read all checkpoints here; mmengine's own
`load_checkpoint` falls back to full unpickling.

A `.pth` file is also a zip archive with a check sum of each member, which torch does not compare
with the content. It is compared here.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from safetensors import safe_open
from torch import Tensor

from mmseg.checkpoints.hub import WEIGHTS, hub_file, is_hub
from mmseg.errors import UserError
from mmseg.files import cannot_be_read, whole_file, write_whole

SAFETENSORS = ".safetensors"
# safetensors holds texts beside the tensors; ours is the checkpoint's metadata.
META_KEY = "meta"


def _buffer_method(owner: object, name: str) -> Any:
    """Stand in for `getattr`, by which a pickled HistoryBuffer names its own statistics."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise UserError(f"names getattr({owner!r}, {name!r})")
    return getattr(HistoryBuffer, name)


def _allowed() -> list:
    # The functions that rebuild a pickled array and a pickled scalar, as numpy 1 and 2 name them.
    functions: list[Any] = [value.__reduce__()[0] for value in (np.zeros(0), np.float32(0))]
    named = [
        (f, f"numpy.{core}.multiarray.{f.__name__}")
        for core in ("core", "_core")
        for f in functions
    ]
    dtypes = [type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "?efdU"]
    types = (np.ndarray, np.dtype, slice, HistoryBuffer)
    return [*named, *dtypes, *types, (_buffer_method, "builtins.getattr")]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a `.pth` or `.safetensors` file, or the one at a URL or on the Hub, onto the CPU.

    Raises `UserError` for a file that is damaged or carries more than tensors and plain metadata.
    """
    if str(path).startswith(("http://", "https://")):
        path = download(str(path))
    if is_hub(path):
        path = hub_file(path, WEIGHTS)
    if not Path(path).is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        read = _read_safetensors if Path(path).suffix == SAFETENSORS else _read_pickle
        content = read(path)
    except OSError as error:
        raise cannot_be_read(path, error) from error
    except Exception as error:  # a damaged file raises many kinds
        raise UserError(
            f"{path}: cannot be read as a checkpoint ({_reason(error)}): it is damaged, or carries "
            "more than tensors and plain metadata; nothing in it was run"
        ) from error
    state = content.get("state_dict", {}) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise UserError(f"{path}: holds no weights; those are named tensors under `state_dict`")
    return dict(content)


def download(url: str) -> Path:
    """Return the file at a URL, kept in torch's cache; `UserError` when there is none.

    Where the file's name ends in the first digits of its sha256, they are checked.
    """
    name = Path(urlsplit(url).path).name
    digits = re.search(r"-([0-9a-f]{8,})\.", name)
    if not digits:  # files of one name at two places are two
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), digits and digits[1])
    except Exception as error:  # of the network, of the hash, of the disk
        raise UserError(f"{url} cannot be downloaded ({_reason(error)})") from error
    return path


def _reason(error: Exception) -> str:
    """Return the most useful line of an error: torch's with the name that is not allowed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Unsupported" in line]
    return (named or lines or [type(error).__name__])[0]


def write_checkpoint(path: str | Path, state: Mapping[str, Tensor], meta: Mapping) -> None:
    """Write tensors and metadata as the suffix says: `.safetensors`, or else a `.pth`."""
    if Path(path).suffix == SAFETENSORS:
        tensors = {key: value.contiguous() for key, value in state.items()}
        texts = {META_KEY: json.dumps(meta, default=str)}
        write_whole(path, safetensors.torch.save(tensors, texts))
    else:
        write_pickle(path, {"meta": dict(meta), "state_dict": dict(state)})


def write_pickle(path: str | Path, content: Mapping) -> None:
    """Write tensors and plain values as torch does; `UserError` if the disk has something else."""
    # Through memory: torch does not tell a full disk from other errors.
    data = io.BytesIO()
    torch.save(dict(content), data)
    with whole_file(path) as part:
        part.write_bytes(data.getbuffer())
        check_written(part)


def check_written(path: Path) -> None:
    """Raise `UserError` when the disk does not hold what torch gave it."""
    if damaged := _damaged_member(path):
        raise UserError(f"{path}: {damaged} on the disk is not what was written")


def _read_pickle(path: str | Path) -> Any:
    if damaged := _damaged_member(path):
        raise ValueError(f"the check sum of its member {damaged} is wrong")
    with torch.serialization.safe_globals(_allowed()):
        return torch.load(path, map_location="cpu", weights_only=True)


def _damaged_member(path: str | Path) -> str | None:
    """Return the first member of an archive whose content does not have its check sum, if any."""
    if not zipfile.is_zipfile(path):
        return None  # torch's format before 1.6
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("its members are compressed, which torch never does")
        return archive.testzip()


def _read_safetensors(path: str | Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        meta = json.loads((file.metadata() or {}).get(META_KEY, "{}"))
        return {"meta": meta, "state_dict": {key: file.get_tensor(key) for key in file.keys()}}  # noqa: SIM118
