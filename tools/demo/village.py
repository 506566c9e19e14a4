"""Roads of a synthetic scene, and the buildings and yards along them."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from demo.canvas import BACKGROUND, BUILDING, ROAD, Canvas, rgb
from demo.land import Land, Road

ASPHALT, GRAVEL = rgb(128, 127, 126), rgb(180, 166, 140)
VERGE, LINES = rgb(122, 126, 88), rgb(208, 208, 202)
LAWN, YARD, BUSH = rgb(108, 126, 78), rgb(162, 152, 136), rgb(74, 96, 58)
ROOFS = [rgb(158, 80, 62), rgb(142, 68, 56), rgb(118, 86, 68), rgb(168, 100, 74)]
FLAT_ROOFS = [rgb(132, 132, 132), rgb(92, 94, 100), rgb(182, 182, 180)]
# Length and width in pixels: house, barn, hall.
SIZES = [((26, 38), (20, 27)), ((42, 66), (22, 30)), ((64, 96), (36, 50))]
SIZE_SHARES = [0.56, 0.32, 0.12]
SPACING = 5  # pixels between buildings
EAVES = (7, 12)  # height of the walls in pixels: 3.5 to 6 m


def draw_roads(canvas: Canvas, land: Land) -> None:
    """Paint tracks, then streets and main roads over them. Over water, a road is a bridge."""
    grain, worn = 3 * canvas.noise(2), 5 * canvas.noise(50)
    canvas.paint((land.road_gap < 4) & (canvas.mask == BACKGROUND), VERGE, 0.5)
    for road in sorted(land.roads, key=lambda road: (road.paved, -road.axis)):
        on_road = land.gap(road) < 0
        across, along = (axis[on_road] for axis in land.across_and_along(road))
        across = np.abs(across)
        # Wheels make a paved lane darker, and the two ruts of a track brighter.
        wheels = np.exp(-(((across - road.half_width / 2) / 1.5) ** 2))
        shade = wheels * (-8 if road.paved else 12) + canvas.rng.normal(0, 7)
        shade += (grain + worn)[on_road]
        colour = (ASPHALT if road.paved else GRAVEL) + shade[:, None]
        if road.paved and road.axis == 0:
            edge = (across > road.half_width - 1.6) & (across < road.half_width - 0.7)
            line = edge | ((across < 0.7) & (along % 24 < 14))
            colour[line] += 0.65 * (LINES - colour[line])
        canvas.image[on_road] = colour
    canvas.mask[land.road_gap < 0] = ROAD


def draw_buildings(canvas: Canvas, land: Land) -> None:
    """Build along the paved roads where there is room, then paint the yards."""
    free = (land.road_gap > 5) & (canvas.mask == BACKGROUND)
    for road in land.roads:
        if road.paved:
            for x, y, angle in building_sites(canvas.rng, land, road):
                if 0 <= y < free.shape[0] and 0 <= x < free.shape[1]:
                    build(canvas, free, x, y, angle)
    draw_yards(canvas)


def building_sites(rng: np.random.Generator, land: Land, road: Road) -> Iterator[tuple]:
    """Walk along both sides of a road. Yield (x, y, angle) of each site, in pixels and radians."""
    _, along = land.across_and_along(road)
    for side in (-1, 1):
        at = max(road.start, float(along.min()))
        while (at := at + rng.uniform(36, 60)) < min(road.end, float(along.max())):
            for row in (0, 1):  # a house at the road, sometimes a barn behind it
                across = road.at + side * (road.half_width + rng.uniform(24, 34) + 48 * row)
                if rng.random() < (0.5 if row else 0.95):
                    ends = [(across, at), (across, at + 1)]
                    ends = [end if road.axis == 0 else end[::-1] for end in ends]
                    (x, y), (x1, y1) = (land.grid.to_pixel(*end) for end in ends)
                    yield x, y, np.arctan2(y1 - y, x1 - x) + rng.choice([0, np.pi / 2])


def build(canvas: Canvas, free: np.ndarray, x: float, y: float, angle: float) -> None:
    """Put a building of a random kind at (x, y) if the place is free, and mark it as taken."""
    rng = canvas.rng
    kind = rng.choice(len(SIZES), p=SIZE_SHARES)
    length, width = (rng.uniform(*limits) for limits in SIZES[kind])
    box = tuple(
        slice(max(0, int(at - length - width)), min(end, int(at + length + width)))
        for at, end in zip((y, x), free.shape, strict=True)
    )
    rows, cols = np.ogrid[box]
    dx, dy, cos, sin = cols - x, rows - y, np.cos(angle), np.sin(angle)
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    roof = wing(along, across, length, width, hipped=rng.random() < 0.3)
    is_hall = kind == len(SIZES) - 1
    if not is_hall and rng.random() < 0.35:  # an L: a second wing across one end
        second = wing(across - width / 2, along - length / 2 + 9, 2 * width, 18, hipped=False)
        roof = np.maximum(roof, second)
    if free[box][roof > -SPACING].all():
        free[box][roof > -SPACING] = False
        draw_roof(canvas, box, roof, flat=is_hall or rng.random() < 0.15)


def draw_roof(canvas: Canvas, box: tuple[slice, ...], roof: np.ndarray, flat: bool) -> None:
    """Paint a roof in the `box` and raise its walls. `roof` (h, w) is the height over the eaves."""
    rng, inside = canvas.rng, roof > 0
    colours = FLAT_ROOFS if flat else ROOFS + FLAT_ROOFS
    colour = colours[rng.integers(len(colours))]
    colour = colour * rng.normal(1, 0.08) + rng.normal(0, 3, 3)
    tiles = 3 * np.sin(2 * np.pi * roof / 2.5)
    roof = np.minimum(roof, 1.5) if flat else roof
    light = 1 + 0.22 * canvas.slope_light(roof)
    canvas.image[box][inside] = (colour * light[..., None] + tiles[..., None])[inside]
    canvas.mask[box][inside] = BUILDING
    canvas.height[box][inside] = rng.uniform(*EAVES) + 0.6 * roof[inside]


def wing(along: np.ndarray, across: np.ndarray, length: float, width: float, hipped: bool) -> Any:
    """Return the heights of a roof above its eaves. Outside it is minus the distance to a wall."""
    to_side = width / 2 - np.abs(across)
    inset = np.minimum(length / 2 - np.abs(along), to_side)
    return inset if hipped else np.where(inset > 0, to_side, inset)


def draw_yards(canvas: Canvas) -> None:
    """Surround buildings with lawn, bare yard and bushes. All of it is background."""
    ground = canvas.mask == BACKGROUND
    distance = cv2.distanceTransform((canvas.mask != BUILDING).astype(np.uint8), cv2.DIST_L2, 5)
    patches, fine = canvas.noise(30), canvas.noise(5)
    near = ground & (distance < 24 + 5 * patches)
    canvas.paint(near, LAWN + (7 * patches + 5 * fine)[..., None], 0.8)
    canvas.paint(near & (patches > 0.6) & (distance < 16), YARD + 4 * fine[..., None])
    bush = near & (distance > 4) & (canvas.noise(7) > 2.1)
    canvas.paint(bush, BUSH)
    canvas.height[bush] = 3
