"""Splits by ground: whole sheets or square blocks go to train, val or test."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from mmseg.errors import UserError
from mmseg.geodata.sheets import Sheet

SPLITS = ("train", "val", "test")
TRIALS = 2000  # random splits, of which the most balanced one is taken


def sheet_groups(sheets: Sequence[Sheet]) -> list[int]:
    """Number the groups of sheets that share ground: sheets with one number belong together."""
    groups = list(range(len(sheets)))
    for i, sheet in enumerate(sheets):
        for j, other in enumerate(sheets[:i]):
            if sheet.frame == other.frame and _overlap(sheet, other):
                groups = [groups[j] if g == groups[i] else g for g in groups]
    return groups


def _overlap(one: Sheet, other: Sheet) -> bool:
    (w, s, e, n), (w2, s2, e2, n2) = one.bounds, other.bounds
    across, down = abs(one.transform.a) / 2, abs(one.transform.e) / 2  # neighbours may touch
    return min(e, e2) - max(w, w2) > across and min(n, n2) - max(s, s2) > down


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
    ends = goals.cumsum()[:-1]
    rng = np.random.default_rng(seed)
    best, best_score = np.zeros(len(units), int), np.inf
    for _ in range(TRIALS):
        order = rng.permutation(len(units))
        middles = pixels.mean(1)[order].cumsum() - pixels.mean(1)[order] / 2
        chosen = np.empty(len(units), int)
        chosen[order] = np.searchsorted(ends, middles)
        found = np.array([pixels[chosen == k].sum(0) for k in range(len(names))])
        empty = len(names) - len(np.unique(chosen))
        score = np.abs(found - goals[:, None]).sum() + 1000 * empty
        if score < best_score:
            best, best_score = chosen, score
    if len(np.unique(best)) < len(names):  # one unit holds nearly everything
        best = np.minimum(np.argsort(np.argsort(-pixels.mean(1))), len(names) - 1)
    return {unit: names[k] for unit, k in zip(units, best, strict=True)}
