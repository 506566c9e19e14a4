"""Aerial scenes drawn from a seed, with the classes of LandCover.ai. A pixel is 0.5 m.

`land` lays out roads and fields and takes the photo. `layers` paints on its canvas layer by layer.
"""

import numpy as np

from demo import layers
from demo.land import Canvas, Land


def draw_scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an RGB orthophoto (H, W, 3) uint8 and its class ids (H, W) uint8.

    The same size and seed give the same bytes. Scenes from 512 x 512 pixels have every class.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(height, width, rng)
    land = Land(height, width, rng)
    for draw in (layers.fields, layers.water, layers.roads, layers.buildings, layers.woods):
        draw(canvas, land)
    canvas.cast_shadows()
    return canvas.expose(), canvas.mask
