"""The canvas of a synthetic scene: layers paint on it, then it becomes a photo."""

import cv2
import numpy as np

BACKGROUND, BUILDING, WOODLAND, WATER, ROAD = range(5)

LONGEST_SHADOW = 26  # pixels


def rgb(*values: float) -> np.ndarray:
    """Return a colour to paint with, (3,) float32."""
    return np.array(values, np.float32)


SKY_LIGHT = rgb(0.44, 0.48, 0.58)  # the share of each colour that a shadow keeps


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
        dy, dx = np.gradient(height)
        # A slope that rises along the shadow faces the sun.
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
