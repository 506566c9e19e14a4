"""The unfinished map: strips on disk, from which an interrupted run goes on."""

import json
import shutil
from collections.abc import Mapping, Sequence
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

    def __init__(self, folder: Path, layers: Sequence[str]) -> None:
        self.folder = folder
        self.layers = layers
        self._note = folder / "job.json"

    @property
    def job(self) -> dict[str, Any]:
        """The facts that the strips depend on. Empty if job.json is damaged or not there."""
        try:
            return json.loads(self._note.read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def prepare(self, job: dict[str, Any]) -> None:
        """Keep the strips of the same job. Throw away those of another one and say why."""
        found = self.job
        differing = [name for name in job if found.get(name) != job[name]]
        if not differing:
            return
        if self._note.is_file():
            MMLogger.get_current_instance().warning(
                f"{self.folder}: this unfinished map is thrown away and the scene is mapped anew, "
                f"because its job.json differs in: {', '.join(differing)}"
            )
        for path in self.folder.iterdir():
            if path.name != LOCK:  # this process holds it
                path.unlink()
        write_whole(self._note, json.dumps(job, sort_keys=True).encode())

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

    def clear(self) -> None:
        """Remove the folder. No process may hold it: on NFS an open file would stay."""
        shutil.rmtree(self.folder, ignore_errors=True)
