"""Labels from a vector layer: each polygon has a class."""

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import shapely
from mmengine.logging import MMLogger
from rasterio.crs import CRS
from rasterio.enums import MergeAlg
from rasterio.features import rasterize
from rasterio.warp import transform as transform_points

from mmseg.errors import UserError, did_you_mean, reason
from mmseg.geodata.sheets import Sheet
from mmseg.imagery.mask import IGNORE_INDEX

BACKGROUND, GREY = "background", (150, 150, 150)
# Names of classes that agree so far are perhaps one class.
SIMILAR = 0.85
Colour = tuple[int, int, int]


class PolygonLabels:
    """The polygons of a layer, burnt into tiles: a pixel has the class in which its centre lies.

    Where polygons overlap, the last one in the file or the one with the highest value of `order`
    counts. Other pixels are background, the last class, or 255 if `ignores_rest`. With `area`, a
    file of polygons, they are background inside of it and 255 outside. `counts` has the polygons of
    each class. Raises `UserError` for a layer that has no usable polygons, classes or CRS.
    """

    def __init__(
        self,
        path: str,
        field: str,
        crs: CRS,
        layer: str | None = None,
        order: str | None = None,
        area: str | None = None,
        ignores_rest: bool = False,
    ) -> None:
        names, keys, shapes = _read(path, layer, crs, field, order)
        rank = np.argsort(keys, kind="stable") if order else np.arange(len(names))
        self.shapes = shapes[rank]
        self.sources = [path, area] if area else [path]
        # Numbers as numbers: 2 before 10.
        self.classes = sorted(set(names), key=lambda n: (int(n) if n.isdecimal() else math.inf, n))
        _warn_of_similar(self.classes)
        self.counts = Counter(names)
        self.ids = np.array([self.classes.index(names[i]) for i in rank])
        self.tree = shapely.STRtree(self.shapes)
        self.area = None if area is None else list(_read(area, None, crs)[2])
        self.rest = IGNORE_INDEX
        if self.area or not ignores_rest:
            self.rest = len(self.classes)
            self.classes.append(BACKGROUND)
        self.colours = {BACKGROUND: GREY, **qml_colours(Path(path).with_suffix(".qml"))}

    def used_classes(self, pixels: np.ndarray) -> list[str]:
        """Return the classes, without the background if none of its `pixels` (K,) is there."""
        unused = self.rest != IGNORE_INDEX and not pixels[self.rest]
        return self.classes[:-1] if unused else self.classes

    def check_place(self, sheets: Sequence[Sheet]) -> None:
        """Count the polygons outside of all scenes; `UserError` if all of them are."""
        boxes = shapely.box(*np.array([sheet.bounds for sheet in sheets]).T)
        inside = np.unique(self.tree.query(boxes, predicate="intersects")[1])
        outside = len(self.shapes) - len(inside)
        if not len(inside):
            raise UserError("no polygon lies on a scene: do the labels belong to them?")
        if outside:
            _log(f"{outside} of {len(self.shapes)} polygons lie outside of the scenes")

    def ids_of(self, sheet: Sheet, window: Any) -> tuple[np.ndarray, int]:
        """Return the ids of a window, uint8 (h, w), and how many pixels lie in several polygons."""
        transform, size = sheet.place(window), (window.height, window.width)
        box = shapely.box(*sheet.bounds_of(window))
        found = np.sort(self.tree.query(box, predicate="intersects"))
        ids = np.full(size, self.rest, np.uint8)
        if self.area:
            inside = rasterize(self.area, size, transform=transform, dtype=np.uint8)
            ids[inside == 0] = IGNORE_INDEX
        if not len(found):
            return ids, 0
        pairs = zip(self.shapes[found], self.ids[found].tolist(), strict=True)
        rasterize(pairs, out=ids, transform=transform)
        ones = [(shape, 1) for shape in self.shapes[found]]
        times = rasterize(ones, size, transform=transform, merge_alg=MergeAlg.add, dtype=np.int32)
        return ids, int((times > 1).sum())


def _read(
    path: str, layer: str | None, crs: CRS, field: str | None = None, order: str | None = None
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read classes, order and polygons of a layer, the polygons in `crs`; one line per problem."""
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind]
        if layer is None and len(layers) > 1 and field:
            raise UserError(f"{path}: it has the layers {', '.join(layers)}: choose by --layer")
        meta, _, wkb, data = pyogrio.raw.read(path, layer=layer)
        shapes = shapely.from_wkb([] if wkb is None else wkb)
    except UserError:
        raise
    except Exception as error:  # of GDAL and of GEOS, for a damaged or unfinished file
        raise UserError(
            f"{path}: not a readable layer ({reason(error)}); is it still being written?"
        ) from error
    if not len(shapes):
        raise UserError(f"{path}: the layer is empty")
    if meta["crs"] is None:
        raise UserError(f"{path}: it has no CRS; set it in QGIS and save the layer again")
    columns = dict(zip(meta["fields"], data, strict=True))
    names, keys = _column(path, columns, field), _column(path, columns, order)
    polygons, origin = _polygons(shapes, path)
    if field:
        names = np.array([_text(name) for name in names[origin]])
        if (names == "").any():
            raise UserError(
                f"{path}: {(names == '').sum()} polygons have no class in {field!r}: fill it in or "
                "delete them"
            )
    try:
        placed = _transformed(polygons, CRS.from_user_input(meta["crs"]), crs)
    except Exception as error:  # GDAL's own errors have no public base class
        raise UserError(f"{path}: cannot be laid on the scenes ({reason(error)})") from error
    return names.tolist(), keys[origin] if order else keys, placed


def _column(path: str, columns: dict, name: str | None) -> np.ndarray:
    if name is not None and name not in columns:
        known = ", ".join(columns) or "none"
        raise UserError(
            f"{path}: it has no field {name!r}{did_you_mean(name, columns)}; its fields: {known}"
        )
    return np.array([]) if name is None else columns[name]


def _text(value: Any) -> str:
    """Return a value of a field as the name of a class, "" for none."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _polygons(shapes: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return valid polygons, and the feature that each comes from; log what was mended or left."""
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    broken = there & ~shapely.is_valid(shapes)
    if broken.any():
        _log(f"{path}: {broken.sum()} of {len(shapes)} geometries are invalid; they are mended")
    mended = shapely.make_valid(shapely.force_2d(shapes[there]))
    parts, origin = shapely.get_parts(mended, return_index=True)
    for _ in range(2):  # collections may hold multipolygons
        parts, inner = shapely.get_parts(parts, return_index=True)
        origin = origin[inner]
    kept = shapely.area(parts) > 0
    origin = np.flatnonzero(there)[origin[kept]]
    if left := len(shapes) - len(np.unique(origin)):
        _log(f"{path}: {left} of {len(shapes)} features have no area; they are left out")
    if not kept.any():
        raise UserError(f"{path}: there are no polygons in the layer")
    return parts[kept], origin


def _transformed(shapes: np.ndarray, source: CRS, target: CRS) -> np.ndarray:
    if source == target:
        return shapes
    return shapely.transform(
        shapes, lambda xy: np.column_stack(transform_points(source, target, *xy.T))
    )


def _warn_of_similar(classes: Sequence[str]) -> None:
    for i, name in enumerate(classes):
        close = [
            other
            for other in classes[:i]
            if name.strip().casefold() == other.strip().casefold()
            or difflib.SequenceMatcher(None, name.casefold(), other.casefold()).ratio() >= SIMILAR
        ]
        if close:
            _log(f"the class names {close[0]!r} and {name!r} nearly agree: are they one class?")


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


def _log(line: str) -> None:
    MMLogger.get_current_instance().warning(line)
