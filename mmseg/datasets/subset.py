"""A fixed share of the training images that keeps the rare classes: for few-label studies."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmseg.errors import UserError
from mmseg.files import whole_file


def stratified_subset(
    ids: Sequence[str], presence: np.ndarray, fraction: float, seed: int
) -> list[int]:
    """Choose `fraction` of the images, every class among them; returns sorted positions.

    `presence` is (N, K) bool: which classes each image has. An image belongs to the stratum of its
    rarest class, and from every stratum at least one is taken. Images are ordered by a hash of seed
    and id, so that the choice depends on nothing else and a smaller fraction is contained in a
    larger one, stratum by stratum.
    """
    images_with = np.where(presence, presence.sum(0), len(ids) + 1)
    rarest = np.where(presence.any(1), images_with.argmin(1), -1)

    def rank(i: int) -> bytes:
        return hashlib.sha256(f"{seed}/{ids[i]}".encode()).digest()

    chosen: list[int] = []
    for stratum in np.unique(rarest):
        members = sorted(np.flatnonzero(rarest == stratum).tolist(), key=rank)
        chosen += members[: max(1, round(len(members) * fraction))]
    for cls in np.flatnonzero(presence.any(0)):
        # A class that is nowhere the rarest may have been left out.
        if not presence[chosen, cls].any():
            chosen.append(min(np.flatnonzero(presence[:, cls]).tolist(), key=rank))
    return sorted(chosen)


def class_presence(dataset, cache_dir: Path) -> np.ndarray:
    """Read every mask of a data set once: (N, K) bool, which classes each image has.

    Kept in `cache_dir` under a name that changes with the masks, where that folder can be written.
    """
    num_classes = len(dataset.metainfo["classes"])
    digest = hashlib.sha256(f"{num_classes} {dataset.reduce_zero_label}".encode())
    for info in dataset.data_list:
        stat = os.stat(info["seg_map_path"])
        digest.update(f"{info['seg_map_path']} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    cache = cache_dir / f".class_presence_{digest.hexdigest()[:16]}.npy"
    if cache.exists():
        return np.load(cache)

    MMLogger.get_current_instance().info(f"reading the classes of {len(dataset.data_list)} masks")

    def classes_of(info: dict) -> np.ndarray:
        ids = dataset.read_seg_map(info)
        return np.bincount(ids.ravel(), minlength=256)[:num_classes] > 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        presence = np.stack(list(pool.map(classes_of, dataset.data_list)))
    try:
        with whole_file(cache) as part:
            np.save(part, presence)
    except UserError:
        MMLogger.get_current_instance().info(f"{cache_dir} cannot be written: classes not cached")
    return presence
