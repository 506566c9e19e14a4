"""Pictures of segmentations: id images, overlays, legends and contact sheets.

Images are uint8 (H, W, 3) RGB, ids uint8 (H, W), a palette is one (R, G, B) per class id.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg.errors import UserError
from mmseg.files import write_whole

Palette = Sequence[Sequence[int]]

# The legend, in pixels; the scale gives capitals of about 10 pixels.
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
LINE_HEIGHT, SWATCH, MARGIN = 20, 14, 6


def write_id_png(path: str | Path, ids: np.ndarray, palette: Palette) -> None:
    """Write class ids as a single-channel 8-bit PNG that viewers show in the palette's colours."""
    image = Image.fromarray(ids)
    # All 256 entries: with fewer, PIL packs pixels into 4 bits or less, which cannot hold a 255.
    image.putpalette(_colour_table(palette).tobytes())
    _write_png(path, image)


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write an RGB image as PNG."""
    _write_png(path, Image.fromarray(image))


def colorize(ids: np.ndarray, palette: Palette) -> np.ndarray:
    """Return ids as RGB; an id without a colour, such as an ignored 255, is black."""
    return _colour_table(palette)[ids]


def check_opacity(opacity: float) -> None:
    """Raise `UserError` if the opacity is not between 0 and 1."""
    if not 0 <= opacity <= 1:
        raise UserError(f"opacity is {opacity}: choose a number from 0 to 1")


def overlay(image: np.ndarray, ids: np.ndarray, palette: Palette, opacity: float) -> np.ndarray:
    """Blend the classes into an RGB image; an id without a colour leaves the image as it is."""
    check_opacity(opacity)
    blended = cv2.addWeighted(image, 1 - opacity, colorize(ids, palette), opacity, 0)
    return np.where((ids < len(palette))[..., None], blended, image)


def error_map(image: np.ndarray, truth: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Show wrong pixels in red on the grey RGB image, and pixels without a truth (255) in black."""
    grey = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 64, 3, axis=2)
    known = truth != 255
    grey[known & (ids != truth)] = (220, 40, 40)
    grey[~known] = 0
    return grey


def legend(classes: Sequence[str], palette: Palette, width: int) -> np.ndarray:
    """Draw a swatch and the name of each class, in as many columns as fit `width` pixels.

    The picture is wider than `width` where a single name needs it.
    """
    text_widths = [cv2.getTextSize(name, FONT, FONT_SCALE, 1)[0][0] for name in classes]
    cell = max(text_widths, default=0) + SWATCH + 3 * MARGIN
    columns = max(1, width // cell)
    lines = -(-len(classes) // columns)
    canvas = np.full((lines * LINE_HEIGHT + MARGIN, max(width, cell), 3), 255, np.uint8)
    for index, (name, colour) in enumerate(zip(classes, palette, strict=True)):
        line, column = divmod(index, columns)
        x, y = column * cell + MARGIN, line * LINE_HEIGHT + MARGIN
        canvas[y : y + SWATCH, x : x + SWATCH] = colour
        baseline = (x + SWATCH + MARGIN, y + SWATCH - 3)
        cv2.putText(canvas, name, baseline, FONT, FONT_SCALE, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def contact_sheet(images: Sequence[np.ndarray], columns: int, gap: int = 4) -> np.ndarray:
    """Lay RGB images of any sizes out row by row on white, each at the top left of its cell."""
    widths = [max(i.shape[1] for i in images[c::columns]) for c in range(min(columns, len(images)))]
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    heights = [max(i.shape[0] for i in row) for row in rows]
    size = (sum(heights) + gap * (len(heights) - 1), sum(widths) + gap * (len(widths) - 1))
    sheet = np.full((*size, 3), 255, np.uint8)
    y = 0
    for row, row_height in zip(rows, heights, strict=True):
        x = 0
        for image, column_width in zip(row, widths, strict=False):  # the last row may be short
            sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
            x += column_width + gap
        y += row_height + gap
    return sheet


def side_by_side(images: Sequence[np.ndarray]) -> np.ndarray:
    """Lay RGB images out in one row."""
    return contact_sheet(images, columns=len(images))


def _colour_table(palette: Palette) -> np.ndarray:
    """Return the palette filled up with black to uint8 (256, 3)."""
    if len(palette) > 256:
        raise UserError(f"{len(palette)} classes do not fit an 8-bit image: 256 at most")
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table


def _write_png(path: str | Path, image: Image.Image) -> None:
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    write_whole(path, encoded.getvalue())
