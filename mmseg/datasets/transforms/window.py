"""Resize no more of an image than the window that is wanted."""

import math

import cv2
import numpy as np

Window = tuple[slice, slice]
"""Rows and columns of the resized image."""

# How far, in pixels of the source, the grids of source and target may be apart where they "meet".
PHASE = 1 / 128


def resize_window(
    image: np.ndarray, size: tuple[int, int], window: Window, flip: bool = False
) -> np.ndarray:
    """Return a window of an (h, w, C) uint8 image that is resized bilinearly to `size`, (h, w).

    OpenCV resizes from the first pixel of what it gets; that of a window lies between two pixels of
    the source. So a little more is resized, from where the two grids meet. Every pixel, at the
    borders too, is sampled within 1/128 of a source pixel of its right place in each direction:
    wrong, beside the rounding, by at most 1/64 of what neighbours differ by. `flip` mirrors.
    """
    height, width = image.shape[:2]
    top, bottom, skip_y = _span(window[0], height, size[0])
    left, right, skip_x = _span(window[1], width, size[1])
    part = image[top:bottom, left:right]
    resized = cv2.resize(part, None, fx=size[1] / width, fy=size[0] / height)
    if resized.shape == part.shape and size != (height, width):
        # OpenCV copies what is to have the size that it has, though this scale is not quite 1.
        resized, skip_y, skip_x = cv2.resize(image, size[::-1]), window[0].start, window[1].start
    rows, columns = window[0].stop - window[0].start, window[1].stop - window[1].start
    resized = resized[skip_y : skip_y + rows, skip_x : skip_x + columns]
    return cv2.flip(resized, 1) if flip else np.ascontiguousarray(resized)


def _span(wanted: slice, source: int, target: int) -> tuple[int, int, int]:
    """Return what to resize for the pixels `wanted` of `target`, and how many to skip.

    The pixels first..last-1 of `source`, resized by target / source, begin at an integer number of
    pixels (up to `PHASE`) before the first one wanted.
    """
    scale = source / target
    skips = np.arange(wanted.start + 1)
    begins = scale * (wanted.start - skips)
    meets = np.abs(begins - np.rint(begins)) <= PHASE
    # The first pixel wanted must not need the one before the first that is resized.
    skip = int(np.argmax(meets & ((skips + 0.5) * scale >= 0.5) | (skips == wanted.start)))
    last = min(source, math.ceil(wanted.stop * scale) + 1)
    return round(begins[skip]), last, skip


def nearest_pixels(source: int, target: int) -> np.ndarray:
    """Return which of `source` pixels OpenCV's nearest-neighbour resizing takes for each target."""
    return np.minimum(np.arange(target) * (1 / (target / source)), source - 1).astype(np.intp)
