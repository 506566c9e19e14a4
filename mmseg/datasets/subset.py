"""Choose a fixed share of the training images that keeps the rare classes."""

import hashlib
from collections.abc import Sequence

import numpy as np

from mmseg.errors import UserError


def stratified_subset(
    ids: Sequence[str], presence: np.ndarray, fraction: float, seed: int, rest: bool = False
) -> list[int]:
    """Choose `fraction` of the images, every class among them; return their sorted positions.

    `presence` is (N, K) bool: which classes each image has. An image belongs to the stratum of its
    rarest class, and every stratum gives at least one image. A hash of seed and id orders the
    images of a stratum, so the choice depends on nothing else. In each stratum, a larger fraction
    holds all images of a smaller one. With `rest`, return the images that are not chosen; raises
    `UserError` if there are none.
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
    if rest and len(chosen) == len(ids):
        raise UserError(f"subset.fraction={fraction} leaves out no image: give a smaller one")
    return sorted({*range(len(ids))} - {*chosen} if rest else chosen)
