"""The unfinished map: strips on disk, from which an interrupted run goes on."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from rasterio.io import MemoryFile

from mmseg.files import write_whole
from mmseg.lock import LOCK

# What to do if the outputs cannot be written.
START_AGAIN = "see that the disk has room and start again: finished strips are kept"
# Short and wide blocks: strips are as high as the stride of the windows.
BLOCK = {"tiled": True, "blockxsize": 512, "blockysize": 128, "compress": "deflate", "zlevel": 1}


class UnfinishedMap:
    """A hidden folder beside the outputs, removed when they are done.

    A strip is a small GeoTIFF for each layer. One process writes it, whole or not at all. The
    products are made in the folder too, and moved out when they are whole.
    """

    def __init__(self, folder: Path, layers: Mapping[str, int]) -> None:
        self.folder = folder
        self.layers = dict(layers)
        self._note = folder / "job.json"

    @property
    def job(self) -> str | None:
        """The job of the strips (a JSON text), None if there are none."""
        return self._note.read_text() if self._note.is_file() else None

    @property
    def scene(self) -> str | None:
        """The path of the scene of the strips, None if it is unknown."""
        try:
            return json.loads(self.job or "")["scene"]["path"]
        except ValueError:  # no note, or a damaged one
            return None

    def prepare(self, job: str) -> None:
        """Keep the strips of the same job. Throw away those of another one and say why."""
        if self.job == job:
            return
        if self.job is not None:
            MMLogger.get_current_instance().warning(
                f"{self.folder}: this unfinished map is thrown away and the scene is mapped anew, "
                f"because {_differences(self.job, job)}"
            )
        for path in self.folder.iterdir():
            if path.name != LOCK:  # this process holds it
                path.unlink()
        write_whole(self._note, job.encode())

    def strip(self, layer: str, index: int) -> Path:
        """Return the file of a layer of a strip."""
        return self.folder / f"{layer}-{index:06d}.tif"

    def has(self, index: int) -> bool:
        """Tell whether all layers of a strip are done."""
        return all(self.strip(layer, index).is_file() for layer in self.layers)

    def write(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write uint8 arrays (bands, rows, W), one per layer."""
        for layer, array in arrays.items():
            count, height, width = array.shape
            size = {"count": count, "height": height, "width": width, "dtype": "uint8"}
            with MemoryFile() as memory:
                with memory.open(driver="GTiff", **size, **BLOCK) as strip:
                    strip.write(array)
                write_whole(self.strip(layer, index), memory.getbuffer())

    def publish(self, product: Path) -> None:
        """Move a finished product from here to its final place."""
        os.replace(self.folder / product.name, product)

    def clear(self) -> None:
        """Remove the folder. No process may hold it: on NFS an open file would stay."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _differences(old: str, new: str) -> str:
    """Say which facts differ between two jobs."""
    try:
        names = _differing(json.loads(old), json.loads(new))
    except ValueError:
        return "its job.json is damaged"
    return f"this differs: {', '.join(names)}"


def _differing(old: Any, new: Any, name: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = {key: f"{name}.{key}".strip(".") for key in new | old}
        return [n for key in keys for n in _differing(old.get(key), new.get(key), keys[key])]
    return [] if old == new else [name]
