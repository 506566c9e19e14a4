"""The unfinished map: strips on disk, from which an interrupted run goes on."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rasterio.io import MemoryFile

from mmseg.files import write_whole
from mmseg.lock import LOCK

# What to do when the outputs cannot be written.
START_AGAIN = "see that the disk has room and start again: finished strips are kept"
# Short and wide blocks: strips are as high as the stride of the windows.
BLOCK = {"tiled": True, "blockxsize": 512, "blockysize": 128, "compress": "deflate", "zlevel": 1}


class Workshop:
    """A hidden folder beside the outputs, removed when they are done.

    Every strip is a small GeoTIFF per layer, written whole by one process; those that are there
    are done. The products are made in the folder too, and moved out when they are whole.
    """

    def __init__(self, folder: Path, layers: Mapping[str, int]) -> None:
        self.folder = folder
        self.layers = dict(layers)
        self._note = folder / "job.json"

    @property
    def job(self) -> str | None:
        """The job (a JSON text) that the strips are of, None where there are none."""
        return self._note.read_text() if self._note.is_file() else None

    @property
    def scene(self) -> str | None:
        """The place of the scene that the strips are of, None where it is not known."""
        try:
            return json.loads(self.job or "")["scene"]["path"]
        except ValueError:  # none, or a damaged note, whose strips are not gone on from
            return None

    def prepare(self, job: str) -> None:
        """Keep the strips of the same job; throw away those of another."""
        if self.job == job:
            return
        for path in self.folder.iterdir():
            if path.name != LOCK:  # which this process holds
                path.unlink()
        write_whole(self._note, job.encode())

    def strip(self, layer: str, index: int) -> Path:
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
        """Move a finished product from here to where it belongs."""
        os.replace(self.folder / product.name, product)

    def clear(self) -> None:
        """Remove what there is, once no process holds the folder: NFS keeps an open file."""
        shutil.rmtree(self.folder, ignore_errors=True)
