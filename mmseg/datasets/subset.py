"""Choose a fixed share of the training images that keeps the rare classes."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger

from mmseg.errors import UserError
from mmseg.files import whole_file
from mmseg.imagery.mask import read_mask, to_train_ids


def check_subset(subset: Mapping | None) -> None:
    """Raise `UserError` if the argument `subset` of a data set is not as it should be."""
    if subset is None:
        return
    if set(subset) != {"fraction", "seed"}:
        raise UserError(f"subset={dict(subset)}: give dict(fraction=..., seed=...)")
    if not 0 < subset["fraction"] <= 1:
        raise UserError(f"subset.fraction={subset['fraction']}: give a share, from 0 to 1")


def stratified_subset(
    ids: Sequence[str], presence: np.ndarray, fraction: float, seed: int
) -> list[int]:
    """Choose `fraction` of the images, every class among them; return their sorted positions.

    `presence` is (N, K) bool: which classes each image has. An image belongs to the stratum of its
    rarest class, and every stratum gives at least one image. A hash of seed and id orders the
    images of a stratum, so the choice depends on nothing else. In each stratum, a larger fraction
    holds all images of a smaller one.
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
        # No stratum stands for a class that always shows beside a rarer one.
        if not presence[chosen, cls].any():
            chosen.append(min(np.flatnonzero(presence[:, cls]).tolist(), key=rank))
    return sorted(chosen)


def class_presence(
    masks: Sequence[str],
    num_classes: int,
    reduce_zero_label: bool,
    cache_dir: Path,
    colour_ids: Mapping | None = None,
    label_map: Mapping[int, int] | None = None,
) -> np.ndarray:
    """Read every mask once, as `read_mask` does: (N, K) bool, which classes each image has.

    The result is kept in `cache_dir`, if that folder can be written, under a name that changes with
    the masks.
    """
    digest = hashlib.sha256(f"{num_classes} {reduce_zero_label} {colour_ids} {label_map}".encode())
    for path in masks:
        stat = os.stat(path)
        digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    cache = cache_dir / f".class_presence_{digest.hexdigest()[:16]}.npy"
    if cache.exists():
        return np.load(cache)

    def classes_of(path: str) -> np.ndarray:
        ids = read_mask(path, None, colour_ids)
        ids = to_train_ids(ids, num_classes, reduce_zero_label, path, label_map)
        return np.bincount(ids.ravel(), minlength=256)[:num_classes] > 0

    logger = MMLogger.get_current_instance()
    logger.info(f"reading the classes of {len(masks)} masks")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        presence = np.stack(list(pool.map(classes_of, masks)))
    try:
        with whole_file(cache) as part:
            np.save(part, presence)
    except UserError:
        logger.info(f"{cache_dir} cannot be written: classes not cached")
    return presence
