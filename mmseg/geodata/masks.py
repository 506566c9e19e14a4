"""Labels from masks: ids, or the colours of a table."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from mmseg.errors import UserError, reason
from mmseg.files import read_text
from mmseg.geodata.options import DatasetOptions
from mmseg.geodata.sheets import Sheet, opened
from mmseg.imagery.geotiff import readable
from mmseg.imagery.mask import IGNORE_INDEX, check_size

IGNORED = "ignored"  # the name of colours in the table that are no class
ENDINGS = ("", "_mask", "_label", "_m")
FORMATS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
Colour = tuple[int, int, int]


class MaskLabels:
    """The masks of a folder, `<name of the scene>.png` or another format, as large as their scenes.

    Without a table of colours, a mask holds ids in its first band; 255 is ignored. A colour that is
    not in the table is a `UserError`, unless the nearest one counts. There are at least `least`
    classes; those after the highest id of a pixel are cut off.
    """

    def __init__(self, options: DatasetOptions, sheets: Sequence[Sheet]) -> None:
        assert options.masks
        self.folder, self.nearest = Path(options.masks), options.nearest
        self.table = read_colours(options.colours) if options.colours else []
        self.colours = {name: rgb for name, rgb in reversed(self.table) if name != IGNORED}
        named = list(dict.fromkeys(name for name, _ in self.table if name != IGNORED))
        named = named or list(options.classes or ())
        self.least, self.classes = len(named), named or [str(i) for i in range(IGNORE_INDEX)]
        self.counts: Counter[str] = Counter()
        self.files = {sheet.name: self._find(sheet) for sheet in sheets}
        self.sources = [*([options.colours] if options.colours else []), *self.files.values()]

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

    def ids_of(self, sheet: Sheet, window: Window) -> tuple[np.ndarray, int]:
        """Return the ids of a window, uint8 (h, w), and 0."""
        path = self.files[sheet.name]
        with readable(path):
            values = opened(path).read([1, 2, 3] if self.table else [1], window=window)
        if self.table:
            return self._ids_of_colours(values.transpose(1, 2, 0), path), 0
        (ids,) = values
        wrong = ids[((ids >= len(self.classes)) | (ids < 0)) & (ids != IGNORE_INDEX)]
        if wrong.size:
            raise UserError(f"{path}: it has the id {wrong[0]}, there is no such class")
        return ids.astype(np.uint8), 0

    def _ids_of_colours(self, colours: np.ndarray, path: str) -> np.ndarray:
        known = np.array([rgb for _, rgb in self.table])
        ids = [IGNORE_INDEX if n == IGNORED else self.classes.index(n) for n, _ in self.table]
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


def read_colours(path: str) -> list[tuple[str, Colour]]:
    """Read a table of colours: a CSV with the columns name, r, g, b, or JSON {name: [r, g, b]}.

    A class may have several colours. Those called `ignored` are no class.
    """
    text = read_text(path)
    try:
        if Path(path).suffix == ".json":
            rows = [(name, *rgb) for name, rgb in json.loads(text).items()]
        else:
            delimiter = ";" if ";" in text.partition("\n")[0] else ","
            head, *lines = csv.reader(text.splitlines(), delimiter=delimiter)
            places = [[k.strip().lower() for k in head].index(k) for k in ("name", "r", "g", "b")]
            rows = [tuple(line[i].strip() for i in places) for line in lines if line]
        table = [(str(name), (int(r), int(g), int(b))) for name, r, g, b in rows]
        if not all(0 <= value <= 255 for _, rgb in table for value in rgb):
            raise ValueError("colours are 0 to 255")
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path}: not a table of colours ({reason(error)}); write a CSV with the columns name, "
            'r, g, b, or JSON like {"wood": [0, 100, 0]}'
        ) from error
    return table
