"""Aerial scenes drawn from a seed, with the classes of LandCover.ai. A pixel is 0.5 m.

`land` lays out roads and fields. `nature` and `village` paint on the `canvas` layer by layer. The
`canvas` adds shadows and takes the photo.
"""

import numpy as np

from demo.canvas import Canvas
from demo.land import Land
from demo.nature import draw_fields, draw_water, draw_woods
from demo.village import draw_buildings, draw_roads


def draw_scene(height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an RGB orthophoto (H, W, 3) uint8 and its class ids (H, W) uint8.

    The same size and seed give the same bytes. Scenes from 512 x 512 pixels have every class.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(height, width, rng)
    land = Land(height, width, rng)
    draw_fields(canvas, land)
    draw_water(canvas, land)
    draw_roads(canvas, land)
    draw_buildings(canvas, land)
    draw_woods(canvas, land)
    canvas.cast_shadows()
    return canvas.expose(), canvas.mask
