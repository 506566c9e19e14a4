"""Decoded images and labels in memory, once for all the workers of a loader."""

import mmap
import os
import re
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from PIL import Image

from mmseg.datasets.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.errors import UserError

GIGABYTE = 1e9
# The share of the available memory that images may take: the training needs the rest.
MOST = 0.9
SECONDS_BETWEEN_REPORTS = 10


class ImageCache:
    """The `img` and `gt_seg_map` of samples, found again by `img_path`; nothing can change them.

    `steps` are those of the pipeline; the loading ones read the files. A bad file is left out when
    `skips`. Raises `UserError` for another one, and when the decoded files would not fit.
    """

    def __init__(self, samples: Sequence[Mapping], steps: Sequence[Callable], skips: bool) -> None:
        self.numbers = {sample["img_path"]: i for i, sample in enumerate(samples)}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sizes = np.array(list(pool.map(_decoded_size, samples)), np.int64)
        self.ends = np.cumsum(sizes)
        self.starts = self.ends - sizes
        self.shapes = np.zeros((len(samples), 2), np.int32)  # (0, 0): not there
        self.memory = SharedMemory(_checked(int(sizes.sum())))
        memory = self.memory.writable()
        loaders = [s for s in steps if isinstance(s, LoadImageFromFile | LoadAnnotations)]

        def fill(number: int) -> None:
            try:
                results = Compose(loaders)(dict(samples[number]))
            except UserError:
                if not skips:
                    raise
            else:
                self._keep(memory, number, results)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            _report(pool.map(fill, range(len(samples))), sizes)
        missing = int((self.shapes[:, 0] == 0).sum())
        if missing:
            MMLogger.get_current_instance().warning(f"{missing} images are not kept in memory")

    def get(self, sample: Mapping) -> dict[str, np.ndarray]:
        """Return `img` and, where there are masks, `gt_seg_map`; both read-only, or nothing."""
        number = self.numbers.get(sample["img_path"])
        if number is None or not self.shapes[number].any():
            return {}
        height, width = map(int, self.shapes[number])
        start, pixels = int(self.starts[number]), height * width
        content = self.memory.array[start : int(self.ends[number])]
        arrays: dict[str, np.ndarray] = {"img": content[: 3 * pixels].reshape(height, width, 3)}
        if "seg_map_path" in sample:
            arrays["gt_seg_map"] = content[3 * pixels :].reshape(height, width)
        return arrays

    def _keep(self, memory: np.ndarray, number: int, results: Mapping) -> None:
        arrays = [results[key] for key in ("img", "gt_seg_map") if key in results]
        place = memory[self.starts[number] : self.ends[number]]
        if sum(array.nbytes for array in arrays) == len(place):  # as the header said
            np.concatenate([array.ravel() for array in arrays], out=place)
            self.shapes[number] = results["img"].shape[:2]

    def __deepcopy__(self, memo: dict) -> "ImageCache":
        return self


class SharedMemory:
    """Bytes that are held once for every process that gets them by fork or by pickle.

    Not in /dev/shm, which containers keep small. `array` is read-only, uint8.
    """

    def __init__(self, size: int) -> None:
        self._open(os.memfd_create("segnext"))
        os.ftruncate(self.file, max(size, 1))

    def _open(self, file: int) -> None:
        self.file = file
        weakref.finalize(self, os.close, file)

    @cached_property
    def array(self) -> np.ndarray:
        return np.frombuffer(mmap.mmap(self.file, 0, prot=mmap.PROT_READ), np.uint8)

    def writable(self) -> np.ndarray:
        return np.frombuffer(mmap.mmap(self.file, 0), np.uint8)

    def __getstate__(self) -> Any:
        return DupFd(self.file)

    def __setstate__(self, state: Any) -> None:
        self._open(state.detach())


def available_memory() -> int:
    """Return the bytes that are free or can be freed, on this machine and in this container."""
    machine = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
    available = int(machine[1]) * 1024 if machine else sys.maxsize
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # ValueError: no limit, or another generation of groups
        limit = int((group / "memory.max").read_text())
        files = re.search(r"inactive_file (\d+)", (group / "memory.stat").read_text())
        used = int((group / "memory.current").read_text()) - int(files[1] if files else 0)
        available = min(available, limit - used)
    return available


def _decoded_size(sample: Mapping) -> int:
    """Return the bytes of image and labels by the header of the image; 0 where it has none."""
    try:
        with Image.open(sample["img_path"]) as image:
            return image.width * image.height * (4 if "seg_map_path" in sample else 3)
    except Exception:  # whoever decodes it will say what is wrong
        return 0


def _checked(size: int) -> int:
    needed = size * int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    available = available_memory()
    if needed > MOST * available:
        raise UserError(
            f"cache_in_memory=True: the decoded images need {needed / GIGABYTE:.1f} GB and "
            f"{available / GIGABYTE:.1f} GB are available, of which the training needs a part: "
            "leave it out, or use fewer images (subset)"
        )
    return size


def _report(results: Iterable[None], sizes: np.ndarray) -> None:
    """Wait for the results, and log how far it is and how long it will take."""
    logger = MMLogger.get_current_instance()
    count, total = len(sizes), sizes.sum() / GIGABYTE
    logger.info(f"decoding {count} images into {total:.1f} GB of memory")
    start = reported = time.monotonic()
    for done, _ in enumerate(results, 1):
        now = time.monotonic()
        if now - reported > SECONDS_BETWEEN_REPORTS:
            left = (now - start) / done * (count - done)
            logger.info(f"decoded {done} of {count} images, {left:.0f} s left")
            reported = now
    logger.info(f"decoded {count} images in {time.monotonic() - start:.0f} s")
