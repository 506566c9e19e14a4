"""Resize only the wanted window of an image."""

import math

import cv2
import numpy as np

Window = tuple[slice, slice]
"""Rows and columns of the resized image."""

# The grids of source and target "meet" where they are at most this far apart, in source pixels.
PHASE = 1 / 128


def resize_window(
    image: np.ndarray, size: tuple[int, int], window: Window, flip: bool = False
) -> np.ndarray:
    """Return a window of an (h, w, C) uint8 image that is resized bilinearly to `size`, (h, w).

    OpenCV starts at the first pixel of an array, but a window starts between two pixels of the
    source. So a little more than the window is resized, from a place where the two grids meet.
    Every pixel is sampled within 1/128 source pixel of its right place in each direction. Its error
    is at most 1/64 of the difference between neighbours, and the rounding. `flip` mirrors the
    window.

    One `cv2.warpAffine` would do the same in fewer lines, but it took 2.0 ms for a crop of 512 x
    512 where this takes 0.6 ms.
    """
    height, width = image.shape[:2]
    top, bottom, skip_y = _span(window[0], height, size[0])
    left, right, skip_x = _span(window[1], width, size[1])
    part = image[top:bottom, left:right]
    resized = cv2.resize(part, None, fx=size[1] / width, fy=size[0] / height)
    if resized.shape == part.shape and size != (height, width):
        # OpenCV only copies an array whose size stays the same, but this scale is not quite 1.
        resized, skip_y, skip_x = cv2.resize(image, size[::-1]), window[0].start, window[1].start
    rows, columns = window[0].stop - window[0].start, window[1].stop - window[1].start
    resized = resized[skip_y : skip_y + rows, skip_x : skip_x + columns]
    return cv2.flip(resized, 1) if flip else np.ascontiguousarray(resized)


def _span(wanted: slice, source: int, target: int) -> tuple[int, int, int]:
    """Return (first, last, skip) for the pixels `wanted` of `target` in one direction.

    The pixels first to last - 1 of `source`, resized by target / source, begin `skip` pixels before
    the first wanted one, within `PHASE`.
    """
    scale = source / target
    skips = np.arange(wanted.start + 1)
    begins = scale * (wanted.start - skips)
    meets = np.abs(begins - np.rint(begins)) <= PHASE
    # The first wanted pixel must not need a source pixel before `first`.
    skip = int(np.argmax(meets & ((skips + 0.5) * scale >= 0.5) | (skips == wanted.start)))
    last = min(source, math.ceil(wanted.stop * scale) + 1)
    return round(begins[skip]), last, skip


def nearest_pixels(source: int, target: int) -> np.ndarray:
    """Return the source pixel of each target pixel in OpenCV's nearest-neighbour resizing."""
    return np.minimum(np.arange(target) * (1 / (target / source)), source - 1).astype(np.intp)
