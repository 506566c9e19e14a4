"""Labels from masks: ids, or the colours of a table."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.errors import RasterioError

from mmseg.errors import UserError, reason
from mmseg.files import read_text
from mmseg.geodata.sheets import Sheet, opened
from mmseg.imagery.mask import IGNORE_INDEX, check_size

IGNORED = "ignored"  # the name of colours in the table that are no class
ENDINGS = ("", "_mask", "_label", "_m")
FORMATS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
Colour = tuple[int, int, int]


class MaskLabels:
    """The masks of a folder, `<name of the scene>.png` or another format, as large as their scenes.

    Without `colours`, a table of them, a mask holds ids in its first band, and `classes` names
    them; 255 is ignored. A colour that is not in the table is a `UserError`, unless `nearest`.
    """

    def __init__(
        self,
        folder: str,
        colours: str | None = None,
        classes: Sequence[str] | None = None,
        nearest: bool = False,
    ) -> None:
        self.folder, self.nearest = Path(folder), nearest
        self.table = read_colours(colours) if colours else None
        self.sources = [colours] if colours else []
        self.counts: Counter[str] = Counter()
        if self.table is None:
            self.classes, self.colours = list(classes or map(str, range(IGNORE_INDEX))), {}
        else:
            self.classes = [name for name in self.table if name != IGNORED]
            self.colours = {name: self.table[name][0] for name in self.classes}
        self.has_names = bool(classes or colours)

    def used_classes(self, pixels: np.ndarray) -> list[str]:
        """Return the classes; without names, up to the highest id that has `pixels` (K,)."""
        return (
            self.classes if self.has_names else self.classes[: int(np.flatnonzero(pixels)[-1]) + 1]
        )

    def check_place(self, sheets: Sequence[Sheet]) -> None:
        """Find the mask of each scene and compare their sizes."""
        self.files = {sheet.name: self._find(sheet) for sheet in sheets}
        self.sources += self.files.values()

    def _find(self, sheet: Sheet) -> str:
        names = [sheet.name + end + suffix for end in ENDINGS for suffix in FORMATS]
        found = [self.folder / name for name in names if (self.folder / name).is_file()]
        if not found:
            raise UserError(f"{self.folder}: no mask of {sheet.path} there, such as {names[0]}")
        raster = opened(str(found[0]))
        check_size(found[0], raster.shape, sheet.path, (sheet.height, sheet.width))
        if self.table and raster.count < 3:
            raise UserError(f"{found[0]}: it has no colours but ids; leave the table out")
        return str(found[0])

    def ids_of(self, sheet: Sheet, window: Any) -> tuple[np.ndarray, int]:
        """Return the ids of a window, uint8 (h, w), and 0."""
        path = self.files[sheet.name]
        try:
            values = opened(path).read([1, 2, 3] if self.table else [1], window=window)
        except RasterioError as error:
            raise UserError(f"{path}: cut short or damaged ({reason(error)})") from error
        if self.table:
            return self._ids_of_colours(values.transpose(1, 2, 0), path), 0
        (ids,) = values
        wrong = ids[((ids >= len(self.classes)) | (ids < 0)) & (ids != IGNORE_INDEX)]
        if wrong.size:
            raise UserError(f"{path}: it has the id {wrong[0]}, there is no such class")
        return ids.astype(np.uint8), 0

    def _ids_of_colours(self, colours: np.ndarray, path: str) -> np.ndarray:
        assert self.table is not None
        pairs = [(name, rgb) for name, own in self.table.items() for rgb in own]
        known = np.array([rgb for _, rgb in pairs])
        ids = [IGNORE_INDEX if n == IGNORED else self.classes.index(n) for n, _ in pairs]
        found, inverse, counts = np.unique(
            colours.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
        )
        distances = ((found[:, None].astype(int) - known) ** 2).sum(-1)
        unknown = distances.min(1) > 0
        if unknown.any() and not self.nearest:
            first = found[unknown][counts[unknown].argmax()].tolist()
            raise UserError(
                f"{path}: {counts[unknown].sum()} pixels have colours that are not in the table, "
                f"such as {first}; add them, or take the nearest ones (--nearest)"
            )
        return np.array(ids, np.uint8)[distances.argmin(1)][inverse].reshape(colours.shape[:2])


def read_colours(path: str) -> dict[str, list[Colour]]:
    """Read a table of colours: a CSV with the columns name, r, g, b, or JSON {name: [r, g, b]}.

    A class may have several colours. Those called `ignored` are no class.
    """
    table: dict[str, list[Colour]] = {}
    text = read_text(path)
    try:
        if Path(path).suffix == ".json":
            rows = [(name, *rgb) for name, rgb in json.loads(text).items()]
        else:
            lines = [{k.strip().lower(): v for k, v in row.items()} for row in _rows(text)]
            rows = [(row["name"].strip(), row["r"], row["g"], row["b"]) for row in lines]
        for name, *rgb in rows:
            red, green, blue = (int(value) for value in rgb)
            table.setdefault(str(name), []).append((red, green, blue))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not a table of colours ({reason(error)}); write a CSV with the columns name, "
            'r, g, b, or JSON like {"wood": [0, 100, 0]}'
        ) from error
    if not all(0 <= value <= 255 for own in table.values() for rgb in own for value in rgb):
        raise UserError(f"{path}: colours are 0 to 255")
    return table


def _rows(text: str) -> list[dict]:
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    return list(csv.DictReader(text.splitlines(), delimiter=delimiter))
