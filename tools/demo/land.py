"""The canvas of a synthetic scene, and its layout: a bent grid of roads and field borders."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np

BACKGROUND, BUILDING, WOODLAND, WATER, ROAD = range(5)
# All lengths are in pixels.
LONGEST_SHADOW = 26
BLOCK_LENGTH, FIELD_WIDTH = (260, 400), (55, 150)  # a block lies between two through roads
MAIN, STREET, TRACK = (7, 9), (6, 7), (4.5, 5.5)  # half the width of a road
SKY_LIGHT = np.array((0.44, 0.48, 0.58), np.float32)  # the share of each colour that a shadow keeps


class Canvas:
    """`image` (H, W, 3) float32, `mask` of class ids (H, W) uint8, `height` (H, W) in pixels."""

    def __init__(self, height: int, width: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.image = np.zeros((height, width, 3), np.float32)
        self.mask = np.zeros((height, width), np.uint8)
        self.height = np.zeros((height, width), np.float32)
        # North is up and the sun stands in the south: shadows fall up the image. Unit (x, y).
        azimuth = rng.uniform(-0.9, 0.9)
        self.shadow = np.array([np.sin(azimuth), -np.cos(azimuth)])

    def noise(self, cell: float) -> np.ndarray:
        """Draw smooth noise (H, W) with mean 0 and deviation 1, in blobs of `cell` pixels."""
        rows, cols = self.mask.shape
        size = int(rows / cell) + 5, int(cols / cell) + 5
        coarse = self.rng.standard_normal(size, dtype=np.float32)
        # The offset is random: the blobs of two noises must not lie on the same grid.
        x, y = self.rng.uniform(1, 2, 2)
        to_coarse = np.array([[1 / cell, 0, x], [0, 1 / cell, y]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        fine = cv2.warpAffine(coarse, to_coarse, (cols, rows), flags=flags)
        return (fine - fine.mean()) / fine.std()

    def paint(self, where: np.ndarray, colour: np.ndarray, opacity: float = 1.0) -> None:
        """Blend `colour`, (3,) or (H, W, 3), into the pixels of the boolean (H, W) `where`."""
        colour = colour[where] if colour.ndim == 3 else colour
        self.image[where] += opacity * (colour - self.image[where])

    def slope_light(self, height: np.ndarray) -> np.ndarray:
        """Return the light on a surface of heights (h, w): about -1 (away from the sun) to 1."""
        dy, dx = np.gradient(height)  # a slope that rises along the shadow faces the sun
        return dx * self.shadow[0] + dy * self.shadow[1]

    def cast_shadows(self) -> None:
        """Darken each pixel that lies in the shadow of something higher."""
        rows, cols = self.mask.shape
        steepness = self.rng.uniform(0.9, 1.4)  # height divided by length of shadow
        shade: np.ndarray = np.zeros((rows, cols), np.float32)
        for length in range(1, LONGEST_SHADOW):
            x, y = length * self.shadow
            caster = cv2.warpAffine(self.height, np.array([[1, 0, x], [0, 1, y]]), (cols, rows))
            # The shade grows from 0 to 1 within one pixel of height: a soft edge.
            shade = np.maximum(shade, caster - self.height - length * steepness)
        self.image *= 1 - np.clip(shade, 0, 1)[..., None] * (1 - SKY_LIGHT)

    def expose(self) -> np.ndarray:
        """Take the photo: light and colour of the day, lens blur, sensor noise; (H, W, 3) uint8."""
        rng = self.rng
        gain = rng.uniform(0.88, 1.1) * rng.uniform(0.96, 1.04, 3).astype(np.float32)
        gain = gain * (1 + 0.03 * self.noise(300)[..., None])
        contrast, haze = rng.uniform(0.92, 1.12), rng.uniform(0, 14)
        photo = cv2.GaussianBlur(self.image * gain, (0, 0), rng.uniform(0.6, 0.8))
        photo = (photo - 110) * contrast + 110 + haze
        photo += 3 * rng.standard_normal(photo.shape, dtype=np.float32)
        return photo.clip(0, 255).astype(np.uint8)


class BentGrid:
    """Coordinates (u, v): the pixel grid turned and gently bent, so that straight lines curve."""

    def __init__(self, rng: np.random.Generator, bend: float) -> None:
        turn = rng.uniform(0, np.pi)
        self.cos, self.sin, self.bend = float(np.cos(turn)), float(np.sin(turn)), bend
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
        return u, t + self.bend * np.sin(s / self.waves[1] + self.phases[1])


class Road(NamedTuple):
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
        self.rng, self.grid = rng, BentGrid(rng, bend=rng.uniform(25, 40))
        y, x = np.mgrid[:height, :width].astype(np.float32)
        self.u, self.v = self.grid.from_pixel(x, y)
        self.field = np.zeros((height, width), np.int32)
        roads = self._divide(*self.grid.from_pixel(width / 2, height / 2))
        self.roads = [road for road in roads if self.gap(road).min() < 0]  # it crosses the image
        self.road_gap = np.min([self.gap(road) for road in self.roads], axis=0)

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
            yield Road(0, at, -np.inf, np.inf, rng.uniform(*(MAIN if paved else TRACK)), paved)
        for i in range(len(cuts) + 1):
            field_cuts = self._cuts(self.v, middle_v + rng.uniform(-100, 100), FIELD_WIDTH)
            inside = blocks == i
            self.field[inside] = 100 * i + np.searchsorted(field_cuts, self.v[inside])
            if 0 < i < len(cuts):  # every third border is a street or a track, in turn
                start, end = cuts[i - 1 : i + 1].tolist()
                for k, at in enumerate(field_cuts[rng.integers(3) :: 3].tolist()):
                    width = rng.uniform(*(TRACK if k % 2 else STREET))
                    yield Road(1, at, start, end, width, paved=k % 2 == 0)

    def _cuts(self, axis: np.ndarray, middle: float, step: tuple[float, float]) -> np.ndarray:
        """Draw cuts with a random `step` between them over `axis`. One of them is at `middle`."""
        low, high = axis.min() - step[1], axis.max() + step[1]
        after, before = np.cumsum(self.rng.uniform(*step, (2, int((high - low) / step[0]))), axis=1)
        cuts = np.concatenate([middle - before[::-1], [middle], middle + after])
        return cuts[(cuts > low) & (cuts < high)].astype(np.float32)
