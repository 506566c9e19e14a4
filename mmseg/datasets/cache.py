"""Decoded images and labels in memory, for all the workers of a loader."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from rich.progress import track

from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.errors import UserError

GIGABYTE = 1e9
# The images may take this share of the available memory: the training needs the rest.
MAX_SHARE = 0.9
FIRST = 64  # samples, evenly spread, that tell how much all will need

Arrays = dict[str, np.ndarray]


class ImageCache:
    """The `img` and `gt_seg_map` of samples, found by their `img_path`.

    The arrays are read-only. Forked workers share their memory, because nothing is written to it.
    Spawned workers, as on Windows, get a copy each.

    `steps` are the steps of a pipeline; its loading steps read the files. A bad file is left out if
    `skips`. Raises `UserError` for a bad file otherwise, and if the decoded images would not fit.
    """

    def __init__(self, samples: Sequence[Mapping], steps: Sequence[Callable], skips: bool) -> None:
        load = Compose([s for s in steps if isinstance(s, LoadImageFromFile | LoadAnnotations)])

        def decode(sample: Mapping) -> Arrays:
            try:
                results = load(dict(sample))
            except UserError:
                if not skips:
                    raise
                return {}
            arrays = {key: results[key] for key in ("img", "gt_seg_map") if key in results}
            for array in arrays.values():
                array.flags.writeable = False
            return arrays

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            first = pool.map(decode, samples[:: max(1, len(samples) // FIRST)])
            sizes = [sum(array.nbytes for array in arrays.values()) for arrays in first]
            _check_memory(float(np.mean(sizes)) * len(samples))
            decoded = track(pool.map(decode, samples), "Decoding", total=len(samples))
            self.arrays = {s["img_path"]: a for s, a in zip(samples, decoded, strict=True)}
        if missing := sum(not arrays for arrays in self.arrays.values()):
            MMLogger.get_current_instance().warning(f"{missing} images are not kept in memory")

    def get(self, sample: Mapping) -> Arrays:
        """Return `img` and, if there are masks, `gt_seg_map`; nothing for a bad file."""
        arrays = self.arrays.get(sample["img_path"], {})
        # The owner of the pixels could make them writeable again; a view of it cannot.
        return {key: array.view() for key, array in arrays.items()}

    def __deepcopy__(self, memo: dict) -> "ImageCache":
        return self  # A part of a data set, which is a deep copy, shares the memory.


def _check_memory(size: float) -> None:
    needed, available = size * int(os.environ.get("LOCAL_WORLD_SIZE", 1)), available_memory()
    sizes = f"need {needed / GIGABYTE:.1f} GB and {available / GIGABYTE:.1f} GB are available"
    if needed > MAX_SHARE * available:
        raise UserError(
            f"cache_in_memory=True: the decoded images {sizes}, of which the training needs a "
            "part: leave it out, or use fewer images (subset)"
        )
    MMLogger.get_current_instance().info(f"the decoded images {sizes}")


def available_memory() -> int:
    """Return the bytes that are free or can be freed; a huge number if the system does not tell.

    Linux tells it. The limit of a container counts if it has one (control groups, version 2).
    """
    available, container = sys.maxsize, Path("/sys/fs/cgroup")
    with suppress(OSError):
        found = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
        available = int(found[1]) * 1024 if found else available
    with suppress(OSError, ValueError):  # ValueError: the limit is "max"
        limit = int((container / "memory.max").read_text())
        cached = re.search(r"inactive_file (\d+)", (container / "memory.stat").read_text())
        used = int((container / "memory.current").read_text())
        available = min(available, limit - used + int(cached[1] if cached else 0))
    return available
