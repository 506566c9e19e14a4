"""Pictures of segmentations: id images, overlays, legends and sheets.

Images are uint8 (H, W, 3) RGB, ids uint8 (H, W), a palette is one (R, G, B) per class id.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmseg.errors import UserError
from mmseg.files import whole_file

Palette = Sequence[Sequence[int]]

IGNORED = 255
LIMIT = 4000  # pixels on a side of a sheet
CELL = 160  # the least width of a picture's place on a sheet, which its caption needs
LEAST_TEXT = 12  # pixels
LETTER = 0.6  # the mean width of a letter, of the height of the text
NAME = 14  # the width of a class in the legend, likewise
VERMILION = (213, 94, 0)  # of Okabe and Ito: colour-blind readers tell it from grey


def write_id_png(path: str | Path, ids: np.ndarray, palette: Palette = ()) -> None:
    """Write class ids as a single-channel 8-bit PNG that viewers show in the palette's colours.

    Without colours in the palette they show the ids as grey levels.
    """
    image = Image.fromarray(ids)
    if palette:
        # All 256 entries: with fewer, PIL packs pixels into 4 bits or less, which cannot hold 255.
        image.putpalette(_colour_table(palette).tobytes())
    with whole_file(path) as part:
        image.save(part, format="PNG")


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an RGB image as PNG."""
    with whole_file(path) as part:
        Image.fromarray(image).save(part, format="PNG")


def check_opacity(opacity: float) -> None:
    """Raise `UserError` if the opacity is not between 0 and 1."""
    if not 0 <= opacity <= 1:
        raise UserError(f"opacity is {opacity}: choose a number from 0 to 1")


def overlay(image: np.ndarray, ids: np.ndarray, palette: Palette, opacity: float) -> np.ndarray:
    """Blend the classes into an RGB image; an id without a colour leaves the image as it is."""
    check_opacity(opacity)
    blended = cv2.addWeighted(image, 1 - opacity, _colour_table(palette)[ids], opacity, 0)
    return np.where((ids < len(palette))[..., None], blended, image)


def error_map(image: np.ndarray, truth: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Show wrong pixels in vermilion on the grey RGB image, and those without a truth in black."""
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 64, 3, axis=2)
    grey[ids != truth] = VERMILION
    grey[truth == IGNORED] = 0
    return grey


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """Return an image or ids with at most `side` pixels on a side."""
    factor = side / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = [max(1, round(length * factor)) for length in picture.shape[1::-1]]
    how = cv2.INTER_NEAREST_EXACT if picture.ndim == 2 else cv2.INTER_AREA
    return cv2.resize(picture, size, interpolation=how)


def panels(
    name: str,
    image: np.ndarray,
    classes: Sequence[str],
    palette: Palette,
    opacity: float,
    prediction: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    side: int = LIMIT // 4 - 40,
) -> np.ndarray:
    """Lay out an image, its truth, its prediction and the errors, as far as they are given.

    Below is a legend of the classes that occur. No picture has more than `side` pixels on a side.
    """
    image = shrink(image, side)
    shown = {"truth": truth, "prediction": prediction}
    ids = {caption: shrink(each, side) for caption, each in shown.items() if each is not None}
    pictures = [(name, image)]
    pictures += [(c, overlay(image, each, palette, opacity)) for c, each in ids.items()]
    if truth is not None and prediction is not None:
        wrong = (truth != prediction)[truth != IGNORED]
        caption = f"errors: {wrong.mean():.1%}" if wrong.size else "no pixel has a truth"
        pictures.append((caption, error_map(image, ids["truth"], ids["prediction"])))
    found = {int(k) for each in ids.values() for k in np.unique(each) if k < len(classes)}
    key = [classes[k] for k in sorted(found)], [palette[k] for k in sorted(found)]
    return sheet([p for _, p in pictures], [c for c, _ in pictures], len(pictures), *key)


def sheet(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int,
    classes: Sequence[str] = (),
    palette: Palette = (),
) -> np.ndarray:
    """Lay RGB images of any sizes out row by row, each below its caption, above a legend.

    The text grows with the sheet, which has at most `LIMIT` pixels on a side.
    """
    columns = min(columns, len(pictures))
    wide = max(CELL, *(picture.shape[1] for picture in pictures))
    starts = range(0, len(pictures), columns)
    heights = [max(p.shape[0] for p in pictures[start : start + columns]) for start in starts]
    longest = max(columns * wide, sum(heights))
    size = max(LEAST_TEXT, min(longest // 70, wide // 14))
    margin, line = size // 2, 3 * size // 2
    width = columns * (wide + margin) + margin
    names = max(1, width // (NAME * size))  # on a line of the legend
    lines = -(-len(classes) // names)
    height = sum(heights) + len(heights) * (line + margin) + (lines + 1) * line
    canvas = Image.new("RGB", (width, height), "white")
    draw, y = ImageDraw.Draw(canvas), margin
    for start, row_height in zip(starts, heights, strict=True):
        for column, index in enumerate(range(start, min(start + columns, len(pictures)))):
            x = margin + column * (wide + margin)
            _write_text(draw, (x, y), captions[index], size, wide)
            canvas.paste(Image.fromarray(pictures[index]), (x, y + line))
        y += line + row_height + margin
    for index, (name, colour) in enumerate(zip(classes, palette, strict=True)):
        x, top = margin + index % names * (width // names), y + index // names * line
        fill = (*map(int, colour),)
        draw.rectangle((x, top, x + size, top + size), fill=fill, outline="grey")
        _write_text(draw, (x + 2 * size, top), name, size, min(width, NAME * size) - 3 * size)
    return shrink(np.asarray(canvas), LIMIT)


def _write_text(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, width: int
) -> None:
    """Write black text; a text wider than `width` loses its middle."""
    most = int(width / size / LETTER)
    if len(text) > most:
        text = f"{text[: most // 2]}\N{HORIZONTAL ELLIPSIS}{text[-(most // 2) :]}"
    draw.text(place, text, "black", _font(size))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _colour_table(palette: Palette) -> np.ndarray:
    """Return the palette filled up with black to uint8 (256, 3)."""
    if len(palette) > 256:
        raise UserError(f"{len(palette)} classes do not fit an 8-bit image: 256 at most")
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table
