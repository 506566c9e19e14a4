"""Tiles of images too large to train on, and masks that hold colours."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmseg.errors import UserError
from mmseg.imagery.mask import IGNORE_INDEX


def check_overlap(tile: int, overlap: int) -> None:
    """Raise `UserError` unless tiles that share `overlap` pixels make progress."""
    if not 0 <= overlap < tile:
        raise UserError(
            f"overlap {overlap} of tiles of {tile}: give 0 or more and less than a tile"
        )


def tiles(
    image: np.ndarray, ids: np.ndarray, tile: int, overlap: int, ignored: int = IGNORE_INDEX
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Yield (top, left, image, ids) of tiles that cover an image (H, W, 3) and its ids (H, W).

    A smaller image is padded with black, its ids with `ignored`.
    """
    missing = [(0, max(tile - side, 0)) for side in ids.shape]
    image = np.pad(image, [*missing, (0, 0)])
    ids = np.pad(ids, missing, constant_values=ignored)
    for top in starts(image.shape[0], tile, overlap):
        for left in starts(image.shape[1], tile, overlap):
            window = slice(top, top + tile), slice(left, left + tile)
            yield top, left, image[window], ids[window]


def starts(length: int, tile: int, overlap: int) -> Iterator[int]:
    """Yield where tiles begin so that they cover `length`; the last one ends at the border."""
    yield from sorted({min(x, length - tile) for x in range(0, length, tile - overlap)})


def colours_to_ids(
    colours: np.ndarray,
    palette: Sequence[Sequence[int]],
    path: Path,
    tolerated: float = 0,
    unknown: int = 0,
) -> tuple[np.ndarray, int]:
    """Turn a BGR mask (H, W, 3) into the places of its colours in a palette (RGB), uint8 (H, W).

    Other colours become `unknown` if they are at most the share `tolerated` of the pixels; their
    number is returned too. Raises `UserError` if they are more.
    """
    bgr = np.array([1, 256, 65536], np.uint32)
    codes = colours.astype(np.uint32) @ bgr
    known = np.array(palette, np.uint32) @ bgr[::-1]
    order = known.argsort()
    ids = order[np.searchsorted(known[order], codes).clip(max=len(order) - 1)]
    wrong = known[ids] != codes
    if wrong.mean() > tolerated:
        shown = bytes(colours[wrong][0, ::-1]).hex()
        raise UserError(f"{path}: the colour #{shown} is no class; is this its mask?")
    ids[wrong] = unknown
    return ids.astype(np.uint8), int(wrong.sum())
