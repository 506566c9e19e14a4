"""The contact sheet of a data set, and colours for classes that have none."""

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmseg.imagery.bands import read_picture
from mmseg.imagery.mask import read_mask
from mmseg.imagery.pictures import overlay, sheet, shrink

COUNT, COLUMNS, SIDE = 24, 8, 192
Colour = tuple[int, int, int]


def distinct_colours(known: Sequence[Colour | None]) -> list[Colour]:
    """Return the colour of each class: the known one, or for None hues a golden angle apart."""
    colours = []
    for i, given in enumerate(known):
        hue, saturation = (0.33 + i * 0.618034) % 1, (0.85, 0.55)[i // 3 % 2]
        made = colorsys.hsv_to_rgb(hue, saturation, (0.9, 0.65)[i % 2])
        red, green, blue = (round(255 * value) for value in made)
        colours.append(given or (red, green, blue))
    return colours


def contact_sheet_of(out: Path, names: Sequence[str], info: Mapping) -> np.ndarray:
    """Draw up to `COUNT` tiles, evenly chosen, with their labels beside them and a legend."""
    pictures, captions = [], []
    for index in np.unique(np.linspace(0, len(names) - 1, min(len(names), COUNT)).astype(int)):
        image = shrink(read_picture(out / "images" / f"{names[index]}.tif", info), SIDE)
        ids = shrink(read_mask(out / "masks" / f"{names[index]}.png"), SIDE)
        pictures += [image, overlay(image.copy(), ids, info["palette"], 0.6)]
        captions += [names[index], "labels"]
    return sheet(pictures, captions, COLUMNS, info["classes"], info["palette"])
