"""From 16-bit samples to the 8 bits that models are trained on."""

from collections.abc import Iterator
from itertools import product

import numpy as np
from rasterio.windows import Window

Ranges = list[tuple[float, float]]
"""For each band the sample values that become 0 and 255."""

# Scenes are stretched between these percentiles of 8 x 8 pieces of so many pixels.
PERCENTILES, PIECES, SIZE = (2, 98), 8, 128


def sample_windows(height: int, width: int) -> Iterator[Window]:
    """Yield small windows spread evenly over a raster."""
    for row, column in product(range(PIECES), repeat=2):
        top = row * max(0, height - SIZE) // (PIECES - 1)
        left = column * max(0, width - SIZE) // (PIECES - 1)
        yield Window(left, top, min(SIZE, width), min(SIZE, height))


def percentile_ranges(samples: np.ndarray) -> Ranges:
    """Return the range of each band of samples (bands, N); all 16 bits where there are none."""
    if not samples.size:
        return [(0.0, 65535.0)] * len(samples)
    low, high = np.percentile(samples, PERCENTILES, axis=1)
    return [(float(a), float(max(b, a + 1))) for a, b in zip(low, high, strict=True)]


def to_8_bits(image: np.ndarray, ranges: Ranges | None) -> np.ndarray:
    """Scale bands (bands, H, W) to uint8; without `ranges` they are uint8 already."""
    if ranges is None:
        return image
    result = np.empty(image.shape, np.uint8)
    for band, target, (low, high) in zip(image, result, ranges, strict=True):
        levels = np.float32(255 / (high - low)) * (band - np.float32(low))
        target[:] = np.clip(levels + 0.5, 0, 255)
    return result
