"""The labels of tiles: from a vector layer, in which each polygon has a class, or from masks."""

import csv
import difflib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import shapely
from mmengine.logging import MMLogger
from rasterio.enums import MergeAlg
from rasterio.features import rasterize
from rasterio.windows import Window

from mmseg.errors import UserError, reason
from mmseg.files import read_text
from mmseg.geodata.options import DatasetOptions
from mmseg.geodata.sheets import Sheet, opened
from mmseg.imagery.geotiff import readable
from mmseg.imagery.mask import IGNORE_INDEX, check_size, to_train_ids
from mmseg.raster.vector_files import read_polygons

BACKGROUND, GREY = "background", (150, 150, 150)
# Names of classes that agree so far are perhaps one class.
SIMILAR = 0.85
IGNORED = "ignored"  # the name of colours in the table that are no class
ENDINGS = ("", "_mask", "_label", "_m")
FORMATS = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
Colour = tuple[int, int, int]


class PolygonLabels:
    """The polygons of a layer, burnt into tiles: a pixel has the class in which its centre lies.

    Where polygons overlap, the last one in the file or the one with the highest value of `order`
    counts. Other pixels are background, the last class, or 255; see `DatasetOptions`. `counts` has
    the polygons of each class. Raises `UserError` for a layer that cannot be used.
    """

    def __init__(self, options: DatasetOptions, sheets: Sequence[Sheet]) -> None:
        path, field, order = options.labels, options.class_field, options.order
        assert path and field
        if lost := [sheet.path for sheet in sheets if sheet.resolution is None]:
            raise UserError(
                f"{lost[0]}: its place is unknown (no CRS or no transform), so polygons cannot be "
                "laid on it: give it one (gdal_edit), or use --masks"
            )
        warn = MMLogger.get_current_instance().warning
        boxes = np.array([sheet.bounds for sheet in sheets])
        place = sheets[0].crs, (*boxes[:, :2].min(0), *boxes[:, 2:].max(0))
        fields = [field, order] if order else [field]
        shapes, features, values = read_polygons(path, *place, options.layer, fields)
        keys = values[-1][features] if order else features
        if keys.dtype == object or (keys != keys).any():  # texts, or NaN for no number
            raise UserError(f"{path}: --order needs a number in {order!r} of each polygon")
        rank = np.argsort(keys, kind="stable")
        self.shapes, features = shapes[rank], features[rank]
        self.tree = shapely.STRtree(self.shapes)
        placed = np.unique(features[self.tree.query(shapely.box(*boxes.T), "intersects")[1]])
        if not len(placed):
            raise UserError("no polygon lies on a scene: do the labels belong to them?")
        if len(placed) < len(values[0]):
            warn(f"{path}: {len(placed)} of {len(values[0])} features lie on the scenes")
        names = {feature: _text(values[0][feature]) for feature in np.unique(features)}
        if missing := [*names.values()].count(""):
            raise UserError(
                f"{path}: {missing} polygons have no class in {field!r}: fill it in or delete them"
            )
        self.counts = Counter(names.values())
        # Numbers as numbers: 2 before 10.
        self.classes = sorted(self.counts, key=lambda n: (int(n) if n.isdecimal() else math.inf, n))
        self.least = len(self.classes)
        for one, other in _similar(self.classes):
            warn(f"the class names {one!r} and {other!r} nearly agree: are they one class?")
        self.ids = np.array([self.classes.index(names[feature]) for feature in features])
        self.sources = [path]
        self.area = None
        if options.area:
            self.area = read_polygons(options.area, *place)[0]
            self.sources.append(options.area)
        self.rest = IGNORE_INDEX
        if options.area or options.unlabelled != "ignore":
            self.rest = len(self.classes)
            self.classes.append(BACKGROUND)
        self.colours = {BACKGROUND: GREY, **qml_colours(Path(path).with_suffix(".qml"))}

    def ids_of(self, sheet: Sheet, window: Window) -> tuple[np.ndarray, int]:
        """Return the ids of a window, uint8 (h, w), and how many pixels lie in several polygons."""
        size, raster = (window.height, window.width), opened(sheet.path)
        transform = raster.window_transform(window)
        ids = np.full(size, self.rest, np.uint8)
        if self.area is not None:
            inside = _burn([(shape, 1) for shape in self.area], size, transform)
            ids[inside == 0] = IGNORE_INDEX
        box = shapely.box(*raster.window_bounds(window))
        found = np.sort(self.tree.query(box, predicate="intersects"))
        pairs = list(zip(self.shapes[found], self.ids[found].tolist(), strict=True))
        times = _burn([(s, 1) for s, _ in pairs], size, transform, merge_alg=MergeAlg.add)
        return np.where(times, _burn(pairs, size, transform), ids), int((times > 1).sum())


def _burn(pairs: list, size: tuple[int, int], transform: Any, **options: Any) -> np.ndarray:
    """Return the value of each pixel's polygon, (h, w), 0 beside them."""
    if not pairs:
        return np.zeros(size, np.uint8)
    dtype = np.uint16 if options else np.uint8
    return rasterize(pairs, size, transform=transform, dtype=dtype, **options)


def _text(value: Any) -> str:
    """Return a value of a field as the name of a class, "" for none."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _similar(classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the names that nearly agree. Those with other numbers, as zone 1 and zone 2, do not."""
    for i, name in enumerate(classes):
        plain = name.strip().casefold()
        others = {other.strip().casefold(): other for other in classes[:i]}
        for close in difflib.get_close_matches(plain, others, n=1, cutoff=SIMILAR):
            if re.findall(r"\d+", close) == re.findall(r"\d+", plain):
                yield others[close], name


def qml_colours(path: Path) -> dict[str, Colour]:
    """Return the colour of each class of a QGIS style with categories; none without such a file."""
    if not path.is_file():
        return {}
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: not a QGIS style ({error}); delete it") from error
    colour_of: dict[str | None, Colour] = {}
    for symbol in root.iterfind(".//symbols/symbol"):
        for option in symbol.iter():
            keys = option.get("name"), option.get("k")  # of QGIS 3.26 and later, of earlier ones
            text = option.get("value") or option.get("v") or ""
            if "color" in keys and text.count(",") >= 3:
                red, green, blue = (int(float(v)) for v in text.split(",")[:3])
                colour_of.setdefault(symbol.get("name"), (red, green, blue))
    found = [(c.get("value"), c.get("symbol")) for c in root.iterfind(".//categories/category")]
    return {str(value): colour_of[name] for value, name in found if name in colour_of}


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
        try:
            return to_train_ids(values[0], len(self.classes), False, path), 0
        except UserError as error:
            told = str(error).partition(" (num_classes=")[0]
            raise UserError(
                f"{told}: mend the mask, or give a name for each id in --classes"
            ) from error

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
