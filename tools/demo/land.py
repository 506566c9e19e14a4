"""The layout of a synthetic scene: a bent grid whose lines are roads and field borders."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# All lengths are in pixels.
BLOCK_LENGTH = (260, 400)  # between two through roads
FIELD_WIDTH = (55, 150)
MAIN_HALF_WIDTH = (7, 9)
STREET_HALF_WIDTH = (6, 7)
TRACK_HALF_WIDTH = (4.5, 5.5)


class BentGrid:
    """Coordinates (u, v): the pixel grid turned and gently bent, so that straight lines curve."""

    def __init__(self, rng: np.random.Generator, bend: float) -> None:
        turn = rng.uniform(0, np.pi)
        self.cos, self.sin = float(np.cos(turn)), float(np.sin(turn))
        self.bend = bend
        self.waves = rng.uniform(130, 200, 2).tolist()
        self.phases = rng.uniform(0, 2 * np.pi, 2).tolist()

    def from_pixel(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return (u, v) of pixel coordinates, which are numbers or arrays."""
        return self._bent(self.cos * x + self.sin * y, self.cos * y - self.sin * x)

    def to_pixel(self, u: float, v: float) -> tuple[float, float]:
        """Return the pixel (x, y) of (u, v): undo the bend step by step, then the turn."""
        s, t = u, v
        for _ in range(12):
            bent_u, bent_v = self._bent(s, t)
            s, t = s + u - bent_u, t + v - bent_v
        return self.cos * s - self.sin * t, self.sin * s + self.cos * t

    def _bent(self, s: Any, t: Any) -> tuple[Any, Any]:
        u = s + self.bend * np.sin(t / self.waves[0] + self.phases[0])
        v = t + self.bend * np.sin(s / self.waves[1] + self.phases[1])
        return u, v


@dataclass
class Road:
    """A strip along one axis of the grid (0: u is constant, 1: v is constant)."""

    axis: int
    at: float
    start: float
    end: float
    half_width: float
    paved: bool


class Land:
    """The roads, and for each pixel its coordinates, its field and the distance to a road.

    `u`, `v`, `field` and `road_gap` are (H, W). `road_gap` is negative on a road.
    """

    def __init__(self, height: int, width: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.grid = BentGrid(rng, bend=rng.uniform(25, 40))
        y, x = np.mgrid[:height, :width].astype(np.float32)
        self.u, self.v = self.grid.from_pixel(x, y)
        self.field = np.zeros((height, width), np.int32)
        self.roads: list[Road] = []
        self.road_gap = np.full((height, width), np.inf, np.float32)
        for road in self._divide(*self.grid.from_pixel(width / 2, height / 2)):
            gap = self.gap(road)
            if gap.min() < 0:  # the road crosses the image
                self.roads.append(road)
                np.minimum(self.road_gap, gap, out=self.road_gap)

    def across_and_along(self, road: Road) -> tuple[np.ndarray, np.ndarray]:
        """Return each pixel's offset from the middle of the road and its place along the road."""
        across, along = (self.u, self.v) if road.axis == 0 else (self.v, self.u)
        return across - road.at, along

    def gap(self, road: Road) -> np.ndarray:
        """Return the distance (H, W) to the edge of one road. It is negative on the road."""
        across, along = self.across_and_along(road)
        gap = np.abs(across) - road.half_width
        return np.maximum(gap, np.maximum(road.start - along, along - road.end))

    def _divide(self, middle_u: float, middle_v: float) -> Iterator[Road]:
        """Cut the land into blocks and fields. Yield the roads along some of the cuts."""
        rng = self.rng
        cuts = self._cuts(self.u, middle_u + rng.uniform(-40, 40), BLOCK_LENGTH)
        blocks = np.searchsorted(cuts, self.u)
        middle = np.argmin(np.abs(cuts - middle_u))
        for i, at in enumerate(cuts.tolist()):
            # Every second through road is a main road, so the scene always has one.
            paved = (i - middle) % 2 == 0
            width = rng.uniform(*(MAIN_HALF_WIDTH if paved else TRACK_HALF_WIDTH))
            yield Road(0, at, -np.inf, np.inf, width, paved)
        for i in range(len(cuts) + 1):
            field_cuts = self._cuts(self.v, middle_v + rng.uniform(-100, 100), FIELD_WIDTH)
            inside = blocks == i
            self.field[inside] = 100 * i + np.searchsorted(field_cuts, self.v[inside])
            if 0 < i < len(cuts):
                yield from self._cross_roads(field_cuts, float(cuts[i - 1]), float(cuts[i]))

    def _cross_roads(self, cuts: np.ndarray, start: float, end: float) -> Iterator[Road]:
        """Yield a road along every third field border of a block: streets and tracks in turn."""
        for i, at in enumerate(cuts[self.rng.integers(3) :: 3].tolist()):
            width = self.rng.uniform(*(TRACK_HALF_WIDTH if i % 2 else STREET_HALF_WIDTH))
            yield Road(1, at, start, end, width, paved=i % 2 == 0)

    def _cuts(self, axis: np.ndarray, middle: float, step: tuple[float, float]) -> np.ndarray:
        """Draw cuts with a random `step` between them over `axis`. One of them is at `middle`."""
        low, high = axis.min() - step[1], axis.max() + step[1]
        after, before = np.cumsum(self.rng.uniform(*step, (2, int((high - low) / step[0]))), axis=1)
        cuts = np.concatenate([middle - before[::-1], [middle], middle + after])
        return cuts[(cuts > low) & (cuts < high)].astype(np.float32)
