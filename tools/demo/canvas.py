"""What the layers of a synthetic scene paint on, and how the finished canvas becomes a photo."""

import cv2
import numpy as np

BACKGROUND, BUILDING, WOODLAND, WATER, ROAD = range(5)

SKY_LIGHT = np.array(
    [0.44, 0.48, 0.58], np.float32
)  # what the blue sky leaves of each colour in a shadow
LONGEST_SHADOW = 26  # pixels


def rgb(red: int, green: int, blue: int) -> np.ndarray:
    """Return a colour to paint with, (3,) float32."""
    return np.array([red, green, blue], np.float32)


class Canvas:
    """Colours (H, W, 3) float32, class ids (H, W) uint8, heights above ground (H, W) in pixels."""

    def __init__(self, height: int, width: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.image = np.zeros((height, width, 3), np.float32)
        self.mask = np.zeros((height, width), np.uint8)
        self.height = np.zeros((height, width), np.float32)
        # North is up and the sun stands in the south: shadows fall up the image. Unit (x, y).
        azimuth = rng.uniform(-0.9, 0.9)
        self.shadow = np.array([np.sin(azimuth), -np.cos(azimuth)])

    def noise(self, cell: float) -> np.ndarray:
        """Draw smooth noise (H, W) of zero mean and unit deviation, in blobs of `cell` pixels."""
        rows, cols = self.mask.shape
        size = int(rows / cell) + 5, int(cols / cell) + 5
        coarse = self.rng.standard_normal(size, dtype=np.float32)
        # A random offset, so that the blobs of two noises do not lie on the same grid.
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
        """Light on a surface, about -1 (turned away from the sun) to 1, from its heights (h, w)."""
        dy, dx = np.gradient(height)
        # A slope that rises along the shadow faces the sun.
        return dx * self.shadow[0] + dy * self.shadow[1]

    def cast_shadows(self) -> None:
        """Darken what lies in the shadow of something higher, on the ground and on other things."""
        rows, cols = self.mask.shape
        steepness = self.rng.uniform(0.9, 1.4)  # height over shadow length
        shade: np.ndarray = np.zeros((rows, cols), np.float32)
        for length in range(1, LONGEST_SHADOW):
            x, y = length * self.shadow
            move = np.array([[1, 0, x], [0, 1, y]])
            caster = cv2.warpAffine(self.height, move, (cols, rows))
            # Half a pixel of height on either side of the border: a soft edge.
            shade = np.maximum(shade, caster - self.height - length * steepness)
        shade = np.clip(shade, 0, 1)[..., None]
        self.image *= 1 - shade * (1 - SKY_LIGHT)

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
