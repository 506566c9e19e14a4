"""Taking turns, and what the times of the turns say."""

from collections.abc import Callable, Sequence

import numpy as np

Turn = Callable[[], dict]


def alternate(turns: Sequence[Turn], runs: int, warm_up: int) -> list[list[dict]]:
    """Call the turns one after the other, `warm_up` + `runs` times; return the last `runs` of each.

    Every other round goes backwards: none is always the first after a pause, and a drift of the
    machine's speed cancels out.
    """
    results: list[list[dict]] = [[] for _ in turns]
    for number in range(warm_up + runs):
        order = range(len(turns)) if number % 2 == 0 else reversed(range(len(turns)))
        for side in order:
            results[side].append(turns[side]())
    return [own[warm_up:] for own in results]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the `median`, and the `p20` and `p80` that three fifths of the values lie between."""
    p20, median, p80 = np.percentile(values, (20, 50, 80))
    return {"median": float(median), "p20": float(p20), "p80": float(p80)}


def ratio(other: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Return the spread of other / ours over pairs: how many times as fast ours is."""
    return spread([theirs / own for theirs, own in zip(other, ours, strict=True)])
