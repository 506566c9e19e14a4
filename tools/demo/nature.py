"""Fields, water and woods of a synthetic scene."""

import cv2
import numpy as np

from demo.canvas import BACKGROUND, BUILDING, WATER, WOODLAND, Canvas, rgb
from demo.land import BentGrid, Land

LAKE_SHARE = 0.07  # of the scene
WOODLAND_SHARE = 0.33  # of the land that is left to plant

CROPS = [(184, 168, 120), (120, 136, 84), (102, 124, 76), (150, 126, 102), (128, 108, 90)]
CROPS += [(170, 158, 126), (136, 146, 90), (110, 128, 86), (158, 156, 98)]
BALK, BANK = rgb(104, 112, 72), rgb(78, 90, 58)
CLEAR_WATER, MURKY_WATER, SHORE = rgb(42, 62, 78), rgb(58, 72, 64), rgb(80, 90, 74)
CONIFER, BROADLEAF = rgb(56, 78, 54), rgb(88, 110, 64)
TREE_SPACING, CROWN_RADIUS = 9, 6.5  # pixels


def draw_fields(canvas: Canvas, land: Land) -> None:
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


def draw_water(canvas: Canvas, land: Land) -> None:
    """Paint lakes between the roads. Half of the scenes have a river, too, which roads cross."""
    rng, (rows, cols) = canvas.rng, canvas.mask.shape
    level = canvas.noise(150) + 0.15 * canvas.noise(30) - 4 * np.exp(-land.road_gap.clip(0) / 14)
    water = level > np.quantile(level, 1 - LAKE_SHARE)
    y, x = np.mgrid[:rows, :cols].astype(np.float32)
    if rng.random() < 0.5:
        grid = BentGrid(rng, bend=60)
        bed = grid.from_pixel(x, y)[0] - grid.from_pixel(cols / 2, rows / 2)[0]
        bed += rng.uniform(-0.3, 0.3) * rows
        water |= np.abs(bed) < rng.uniform(12, 20) + 2 * canvas.noise(50)
    water = drop_small(water, 1500)
    bank = cv2.dilate(water.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    canvas.paint(bank & ~water, BANK, 0.7)
    depth = cv2.distanceTransform(water.astype(np.uint8), cv2.DIST_L2, 5)
    colour = blend(blend(CLEAR_WATER, MURKY_WATER, canvas.noise(200)), SHORE, 1 - depth / 6)
    wind = rng.uniform(0, np.pi)
    ripple = np.sin(0.9 * (x * float(np.cos(wind)) + y * float(np.sin(wind))) + canvas.noise(12))
    colour += (rng.uniform(-5, 8) + 1.5 * ripple + 3 * canvas.noise(60))[..., None]
    canvas.paint(water, colour)
    canvas.mask[water] = WATER


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


def draw_woods(canvas: Canvas, land: Land) -> None:
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
    room = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 5)
    house = cv2.distanceTransform((canvas.mask != BUILDING).astype(np.uint8), cv2.DIST_L2, 5)
    by_field = canvas.rng.normal(0, 0.5, int(np.max(land.field)) + 1).astype(np.float32)
    fit = canvas.noise(130) + 0.3 * canvas.noise(25) + by_field[land.field]
    fit -= 4 * np.exp(-house / 22)
    plantable = room > CROWN_RADIUS
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
