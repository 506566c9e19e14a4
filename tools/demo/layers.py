"""Aerial scenes drawn from a seed, with the classes of LandCover.ai. A pixel is 0.5 m.

`land` lays out roads and fields. Here fields, water, roads, buildings with yards, and woods are
painted on its canvas, layer by layer.
"""

from collections.abc import Iterator

import cv2
import numpy as np

from demo.land import BACKGROUND, BUILDING, ROAD, WATER, WOODLAND, BentGrid, Canvas, Land, Road

LAKE_SHARE, WOODLAND_SHARE = 0.07, 0.33  # of the scene, and of the land that is left to plant
CROPS = [(184, 168, 120), (120, 136, 84), (102, 124, 76), (150, 126, 102), (128, 108, 90)]
CROPS += [(170, 158, 126), (136, 146, 90), (110, 128, 86), (158, 156, 98)]
BALK, BANK, VERGE = np.array([(104, 112, 72), (78, 90, 58), (122, 126, 88)], np.float32)
CLEAR_WATER, MURKY_WATER, SHORE = np.array([(42, 62, 78), (58, 72, 64), (80, 90, 74)], np.float32)
CONIFER, BROADLEAF, BUSH = np.array([(56, 78, 54), (88, 110, 64), (74, 96, 58)], np.float32)
ASPHALT, GRAVEL, LINES = np.array([(128, 127, 126), (180, 166, 140), (208, 208, 202)], np.float32)
LAWN, YARD = np.array([(108, 126, 78), (162, 152, 136)], np.float32)
ROOFS = np.array([(158, 80, 62), (142, 68, 56), (118, 86, 68), (168, 100, 74)], np.float32)
FLAT_ROOFS = np.array([(132, 132, 132), (92, 94, 100), (182, 182, 180)], np.float32)
TREE_SPACING, CROWN_RADIUS, SPACING = 9, 6.5, 5  # pixels; the last one lies between buildings
# Length and width in pixels: house, barn, hall.
SIZES = [((26, 38), (20, 27)), ((42, 66), (22, 30)), ((64, 96), (36, 50))]
SIZE_SHARES = [0.56, 0.32, 0.12]
EAVES = (7, 12)  # height of the walls in pixels: 3.5 to 6 m


def draw_scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an RGB orthophoto (H, W, 3) uint8 and its class ids (H, W) uint8.

    The same size and seed give the same bytes. Scenes from 512 x 512 pixels have every class.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(height, width, rng)
    land = Land(height, width, rng)
    for draw in (fields, water, roads, buildings, woods):
        draw(canvas, land)
    canvas.cast_shadows()
    return canvas.expose(), canvas.mask


def fields(canvas: Canvas, land: Land) -> None:
    """Paint each field with its crop, with stripes of tillage or wheel ruts, and soil patches."""
    rng, count = canvas.rng, int(np.max(land.field)) + 1
    crop = np.array(CROPS)[rng.integers(len(CROPS), size=count)] + rng.normal(0, 4, (count, 3))
    period = rng.uniform(3.5, 9, count).astype(np.float32)
    depth = (rng.uniform(0, 9, count) * (rng.random(count) < 0.7)).astype(np.float32)
    across = land.v + 0.7 * canvas.noise(60)
    shade = depth[land.field] * np.sin(across * (2 * np.pi / period)[land.field])
    # A sprayer leaves a pair of wheel ruts every 18 m.
    sprayed = (rng.random(count) < 0.5)[land.field]
    shade -= 14 * (sprayed & (np.abs(across % 36 - 18) // 1.5 == 1))
    shade += 7 * canvas.noise(90) + 4 * canvas.noise(14) + 4 * canvas.noise(3)
    canvas.image += crop.astype(np.float32)[land.field] + shade[..., None]
    border = cv2.morphologyEx(land.field.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    canvas.paint(border > 0, BALK, 0.5)


def water(canvas: Canvas, land: Land) -> None:
    """Paint lakes between the roads. Half of the scenes have a river, too, which roads cross."""
    rng, (rows, cols) = canvas.rng, canvas.mask.shape
    level = canvas.noise(150) + 0.15 * canvas.noise(30) - 4 * np.exp(-land.road_gap.clip(0) / 14)
    wet = level > np.quantile(level, 1 - LAKE_SHARE)
    y, x = np.mgrid[:rows, :cols].astype(np.float32)
    if rng.random() < 0.5:
        grid = BentGrid(rng, bend=60)
        bed = grid.from_pixel(x, y)[0] - grid.from_pixel(cols / 2, rows / 2)[0]
        bed += rng.uniform(-0.3, 0.3) * rows
        wet |= np.abs(bed) < rng.uniform(12, 20) + 2 * canvas.noise(50)
    wet = drop_small(wet, 1500)
    bank = cv2.dilate(wet.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    canvas.paint(bank & ~wet, BANK, 0.7)
    depth = distance_in(wet)
    colour = blend(blend(CLEAR_WATER, MURKY_WATER, canvas.noise(200)), SHORE, 1 - depth / 6)
    wind = rng.uniform(0, np.pi)
    ripple = np.sin(0.9 * (x * float(np.cos(wind)) + y * float(np.sin(wind))) + canvas.noise(12))
    colour += (rng.uniform(-5, 8) + 1.5 * ripple + 3 * canvas.noise(60))[..., None]
    canvas.paint(wet, colour)
    canvas.mask[wet] = WATER


def blend(first: np.ndarray, second: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Mix two colours to (H, W, 3). Where `amount` (H, W) is far below 0, the first one remains."""
    weight = 1 / (1 + np.exp(-amount))[..., None]
    return (1 - weight) * first + weight * second


def drop_small(mask: np.ndarray, area: int) -> np.ndarray:
    """Clear the connected parts of a boolean (H, W) mask with fewer than `area` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = stats[:, cv2.CC_STAT_AREA] >= area
    keep[0] = False  # label 0 lies outside the mask
    return keep[labels]


def distance_in(mask: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel of a boolean (H, W) mask to the nearest outside it."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)


def roads(canvas: Canvas, land: Land) -> None:
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


def buildings(canvas: Canvas, land: Land) -> None:
    """Build along the paved roads where there is room, then surround the houses."""
    free = (land.road_gap > 5) & (canvas.mask == BACKGROUND)
    for road in land.roads:
        if road.paved:
            for x, y, angle in building_sites(canvas.rng, land, road):
                if 0 <= y < free.shape[0] and 0 <= x < free.shape[1]:
                    build(canvas, free, x, y, angle)
    # Lawn, bare yard and bushes are background.
    ground, distance = canvas.mask == BACKGROUND, distance_in(canvas.mask != BUILDING)
    patches, fine = canvas.noise(30), canvas.noise(5)
    near = ground & (distance < 24 + 5 * patches)
    canvas.paint(near, LAWN + (7 * patches + 5 * fine)[..., None], 0.8)
    canvas.paint(near & (patches > 0.6) & (distance < 16), YARD + 4 * fine[..., None])
    bush = near & (distance > 4) & (canvas.noise(7) > 2.1)
    canvas.paint(bush, BUSH)
    canvas.height[bush] = 3


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


def wing(
    along: np.ndarray, across: np.ndarray, length: float, width: float, hipped: bool
) -> np.ndarray:
    """Return the heights of a roof above its eaves. Outside it is minus the distance to a wall."""
    to_side = width / 2 - np.abs(across)
    inset = np.minimum(length / 2 - np.abs(along), to_side)
    return inset if hipped else np.where(inset > 0, to_side, inset)


def draw_roof(canvas: Canvas, box: tuple[slice, ...], roof: np.ndarray, flat: bool) -> None:
    """Paint a roof in the `box` and raise its walls. `roof` (h, w) is the height over the eaves."""
    rng, inside = canvas.rng, roof > 0
    colours = FLAT_ROOFS if flat else np.concatenate([ROOFS, FLAT_ROOFS])
    colour = colours[rng.integers(len(colours))] * rng.normal(1, 0.08) + rng.normal(0, 3, 3)
    tiles = 3 * np.sin(2 * np.pi * roof / 2.5)
    roof = np.minimum(roof, 1.5) if flat else roof
    light = 1 + 0.22 * canvas.slope_light(roof)
    canvas.image[box][inside] = (colour * light[..., None] + tiles[..., None])[inside]
    canvas.mask[box][inside] = BUILDING
    canvas.height[box][inside] = rng.uniform(*EAVES) + 0.6 * roof[inside]


def woods(canvas: Canvas, land: Land) -> None:
    """Paint woods tree by tree, so that crowns form the edge of a wood."""
    rng, free = canvas.rng, canvas.mask == BACKGROUND
    sites = wood_sites(canvas, land, free)
    distance, tree, places = plant(rng, sites.shape)
    stands = sites[places[:, 0], places[:, 1]][tree]
    size = rng.uniform(0.8, 1.35, len(places)).astype(np.float32)[tree]
    crown = 1 - (distance / (CROWN_RADIUS * size)) ** 2
    wood = (stands & (crown > 0)).astype(np.uint8)
    # Gaps between crowns belong to the wood.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    wood = drop_small((cv2.morphologyEx(wood, cv2.MORPH_CLOSE, disc) > 0) & free, 400)
    height = (9 + 9 * size + canvas.noise(40)) * np.sqrt(crown.clip(0.1))
    colour = blend(CONIFER, BROADLEAF, 3 * canvas.noise(120))
    colour += rng.normal(0, 6, (len(places), 3)).astype(np.float32)[tree]
    light = canvas.slope_light(cv2.GaussianBlur(height, (0, 0), 1)).clip(-1.5, 1.5)
    canvas.paint(wood, colour * (1 + 0.2 * light + 0.08 * canvas.noise(2))[..., None])
    canvas.mask[wood] = WOODLAND
    canvas.height[wood] = height[wood]


def wood_sites(canvas: Canvas, land: Land, free: np.ndarray) -> np.ndarray:
    """Choose where trees grow, (H, W) bool: in patches or whole fields, away from houses."""
    house, plantable = distance_in(canvas.mask != BUILDING), distance_in(free) > CROWN_RADIUS
    by_field = canvas.rng.normal(0, 0.5, int(np.max(land.field)) + 1).astype(np.float32)
    fit = canvas.noise(130) + 0.3 * canvas.noise(25) + by_field[land.field]
    fit -= 4 * np.exp(-house / 22)
    return plantable & (fit > np.quantile(fit[plantable], 1 - WOODLAND_SHARE))


def plant(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Scatter trees over `shape` (H, W).

    Returns the distance to the nearest tree (H, W), its index (H, W), and the trees' (row, col).
    """
    grid = np.mgrid[: shape[0] : TREE_SPACING, : shape[1] : TREE_SPACING].reshape(2, -1).T
    places: np.ndarray = grid + rng.integers(0, TREE_SPACING, grid.shape)
    places = np.unique(np.minimum(places, np.array(shape) - 1), axis=0)
    ground = np.ones(shape, np.uint8)
    ground[places[:, 0], places[:, 1]] = 0
    by_pixel = cv2.DIST_LABEL_PIXEL
    distance, label = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=by_pixel)
    # OpenCV counts the zero pixels from 1, row by row: this is the order of `places`.
    return distance, label - 1, places
