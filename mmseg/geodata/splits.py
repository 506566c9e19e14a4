"""Splits by ground: whole sheets or square blocks go to train, val or test."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import shapely
from scipy.sparse.csgraph import connected_components

from mmseg.errors import UserError
from mmseg.geodata.sheets import Sheet

SPLITS = ("train", "val", "test")
TRIALS = 2000  # random splits, of which the most balanced one is taken


def sheet_groups(sheets: Sequence[Sheet]) -> list[int]:
    """Number the groups of sheets that share ground: sheets with one number belong together."""
    x, y = (abs(side) / 4 for side in (sheets[0].transform.a, sheets[0].transform.e))
    inner = np.array([sheet.bounds for sheet in sheets]) + np.array([x, y, -x, -y])
    boxes, frames = shapely.box(*inner.T), np.array([sheet.frame for sheet in sheets])
    share = shapely.intersects(boxes[:, None], boxes) & (frames[:, None] == frames)
    return connected_components(share)[1].tolist()


def split_units(
    counts: Mapping[Hashable, np.ndarray], shares: Mapping[str, float], seed: int
) -> dict[Hashable, str]:
    """Give each unit of ground to a split, with about `shares` of the pixels of every class.

    `counts` are the pixels (K,) per class of each unit. Of `TRIALS` random splits, the one is taken
    whose classes deviate least from the shares. Raises `UserError` if there are too few units.
    """
    names = [name for name in SPLITS if shares[name] > 0]
    if len(counts) < len(names):
        raise UserError(
            f"{len(counts)} blocks or sheets with labels cannot fill {', '.join(names)}: give a "
            "smaller --block or --size, or more scenes"
        )
    units = sorted(counts, key=repr)
    pixels = np.array([counts[unit] for unit in units], float)
    pixels = pixels[:, pixels.sum(0) > 0]
    pixels /= pixels.sum(0)  # the part of each class that lies in a unit
    goals = np.array([shares[name] for name in names])
    rng = np.random.default_rng(seed)
    best, best_score = np.zeros(len(units), int), np.inf
    for _ in range(TRIALS):
        order = rng.permutation(len(units))
        middles = pixels.mean(1)[order].cumsum() - pixels.mean(1)[order] / 2
        chosen = np.empty(len(units), int)
        chosen[order] = np.searchsorted(goals.cumsum()[:-1], middles)
        chosen[order[: len(names)]] = rng.permutation(len(names))  # no split is empty
        found = np.array([pixels[chosen == k].sum(0) for k in range(len(names))])
        score = np.abs(found - goals[:, None]).sum()
        if score < best_score:
            best, best_score = chosen, score
    return {unit: names[k] for unit, k in zip(units, best, strict=True)}
