"""Sheets that touch: windows read over their borders, and one index shows all maps."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import rasterio
import shapely
from mmengine.logging import MMLogger
from rasterio import Affine
from rasterio.errors import RasterioError
from rasterio.windows import Window
from scipy.sparse.csgraph import connected_components

from mmseg.errors import UserError
from mmseg.files import whole_file, write_whole
from mmseg.raster.measure import SceneMap, add_areas
from mmseg.raster.scene import Scene
from mmseg.raster.strips import write_vrt
from mmseg.raster.style import qgis_style
from mmseg.raster.vector_files import to_ground, write_layer
from mmseg.raster.windows import WindowAxis

# First row and column, end of rows and of columns, in pixels from the origin of the CRS.
Box = tuple[int, int, int, int]
Opener = Callable[[str], Scene]
# Two scenes that share more than this part of the smaller one show the same ground.
MOST_OVERLAP = 0.2
SAME_AREA = 1e-6  # areas differ by less if numbers are rounded


class Sheets:
    """Groups of scenes that touch each other and lie on the same grid of pixels.

    They have one CRS, pixel size, number of bands and type of samples. Scenes that cannot be opened
    are in no group, nor are those of which two show the same ground, as at two times.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._groups: list[Mapping[str, Box]] = []
        self._ranges: dict[int, list[tuple[float, float]]] = {}
        grids: dict[tuple, dict[str, Box]] = defaultdict(dict)
        for path in paths:
            try:
                with rasterio.open(path) as raster:
                    crs, at, shape = raster.crs, raster.transform, raster.shape
                    kind = (crs and crs.to_wkt(), raster.count, raster.dtypes)
                pixel = (at.a, at.b, at.d, at.e)
                column, row = ~Affine(at.a, at.b, 0, at.d, at.e, 0) * (at.c, at.f)
            except (RasterioError, ValueError):  # ValueError: a transform without an inverse
                continue
            if crs is not None:
                grid = [f"{side:.8g}" for side in pixel], round(row, 2) % 1, round(column, 2) % 1
                top, left = round(row), round(column)
                grids[kind, str(grid)][path] = (top, left, top + shape[0], left + shape[1])
        for boxes in grids.values():
            starts, ends = np.split(np.array(list(boxes.values())), 2, axis=1)
            # The height and width that two scenes share: 0 if they touch, else less.
            shared = np.minimum(ends[:, None], ends) - np.maximum(starts[:, None], starts)
            areas = shared.clip(0).prod(axis=2)
            own = areas.diagonal()
            is_same = areas > MOST_OVERLAP * np.minimum(own[:, None], own)
            _, group_of = connected_components((shared >= 0).all(axis=2))
            for group in np.setdiff1d(group_of, group_of[is_same.sum(axis=1) > 1]):
                members = [path for path, own in zip(boxes, group_of, strict=True) if own == group]
                self._groups.append({path: boxes[path] for path in members})

    def ground(
        self, scene: Scene, open_scene: Opener, size: tuple[int, int], overlap: float
    ) -> "Ground":
        """Lay windows of `size` (height, width) pixels over a scene; open the sheets they touch.

        The grid of windows begins where the group of the scene does, so that all its sheets share
        their windows. Scenes of a group are scaled to 8 bits alike.
        """
        alone = {scene.path: (0, 0, scene.height, scene.width)}
        boxes = next((group for group in self._groups if scene.path in group), alone)
        if scene.ranges is not None and len(boxes) > 1:
            if id(boxes) not in self._ranges:
                opened = [_or_none(open_scene, path) for path in boxes]
                each = [one.ranges for one in opened if one is not None]
                self._ranges[id(boxes)] = [tuple(band) for band in np.mean(each, axis=0).tolist()]
            scene.ranges = self._ranges[id(boxes)]
        places = np.array(list(boxes.values())).reshape(-1, 2, 2)  # starts and ends
        origin, end = places[:, 0].min(0), places[:, 1].max(0)
        own = np.reshape(boxes[scene.path], (2, 2)) - origin
        axes = []
        for i, side in enumerate(size):
            whole = WindowAxis(int(end[i] - origin[i]), side, side - int(side * overlap))
            axis, start = whole.part(int(own[0, i]), int(own[1, i]))
            axes.append(axis)
            origin[i] += start
        (rows, columns), sheets = axes, []
        for path, box in zip(boxes, places - origin, strict=True):
            (top, left), (bottom, right) = box.tolist()
            is_near = top < rows.length and left < columns.length and min(bottom, right) > 0
            if path != scene.path and is_near and (sheet := _or_none(open_scene, path)):
                sheet.ranges = scene.ranges
                sheets.append((sheet, top, left))
        top, left = (boxes[scene.path][:2] - origin).tolist()
        return Ground(rows, columns, [*sheets, (scene, top, left)])


def _or_none(step: Callable, place: Any) -> Any:
    """Return the result of a step with a neighbour; None, with a warning, if it is broken."""
    try:
        return step(place)
    except UserError as error:
        MMLogger.get_current_instance().warning(f"{error}; its neighbours are mapped without it")
        return None


class Ground:
    """A scene and as much of the sheets around it as the windows over the scene cover.

    `rows` and `columns` are the windows. `sheets` have their first row and column in the ground;
    the last one is the scene itself, `top` and `left` its place.
    """

    def __init__(
        self, rows: WindowAxis, columns: WindowAxis, sheets: list[tuple[Scene, int, int]]
    ) -> None:
        self.rows, self.columns, self.sheets = rows, columns, sheets
        self.scene, self.top, self.left = sheets[-1]

    def read(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
        """Read rows of the ground as `Scene.read` does. Only pixels of the scene are to map."""
        shape = (bottom - top, self.columns.length)
        image = np.zeros((len(self.scene.bands), *shape), self.scene.bits)
        filled, valid = np.zeros(shape, bool), np.zeros(shape, bool)
        for sheet, row, column in list(self.sheets):  # the scene comes last and wins
            first, last = max(top, row), min(bottom, row + sheet.height)
            start, end = max(0, column), min(self.columns.length, column + sheet.width)
            if first >= last:
                continue
            box = Window(start - column, first - row, end - start, last - first)
            found = sheet.read(box) if sheet is self.scene else _or_none(sheet.read, box)
            if found is None:
                self.sheets.remove((sheet, row, column))
                continue
            part, known = found
            place = np.s_[..., first - top : last - top, start:end]
            np.copyto(image[place], part, where=known | ~filled[place])
            filled[place] |= known
            if sheet is self.scene:
                valid[place] = known
        return image, valid


def write_index(maps: Sequence[SceneMap], meta: Mapping) -> None:
    """Write the areas of several maps of a folder as one table, and a layer that shows them all.

    `meta` has `classes` and `palette`. The layer is a virtual raster (`sheets.landcover.vrt`) and a
    tile index of GDAL (`sheets.gti.gpkg`). Maps of several CRSs or pixel sizes have none.
    """
    out, classes, palette = maps[0].path.parent, list(meta["classes"]), list(meta["palette"])
    table = add_areas([each.areas for each in maps]).to_csv(classes)
    write_whole(out / "sheets.areas.csv", table.encode())
    names, places, logger = [each.path.name for each in maps], [], MMLogger.get_current_instance()
    for each in maps:
        with rasterio.open(each.path) as raster:
            places.append((raster.crs, raster.transform, raster.shape))
    crs, grid, _ = places[0]
    sides = np.array([(at.a, at.b, at.d, at.e) for _, at, _ in places])
    is_alike = np.allclose(sides, sides[0], rtol=1e-6, atol=0)
    if not (crs and is_alike and all(other == crs for other, *_ in places)):
        logger.warning(f"{out}: the maps differ in CRS or pixel size: no index of them is written")
        return
    # First column and row of each map, and their ends, in pixels of the first map.
    starts = np.array([~grid * (at.c, at.f) for _, at, _ in places]).round(3)
    ends = starts + [shape[::-1] for *_, shape in places]
    boxes = shapely.box(*starts.T, *ends.T)
    if shapely.area(boxes).sum() > shapely.union_all(boxes).area * (1 + SAME_AREA):
        logger.warning(f"{out}: sheets overlap: sheets.areas.csv counts the overlaps twice")
    left, top = starts.min(0)
    width, height = np.rint(ends.max(0) - (left, top)).astype(int).tolist()
    place = {"crs": crs, "transform": grid * Affine.translation(left, top)}
    moved = np.column_stack([starts - (left, top), ends - starts]).tolist()
    tags = {f"CLASS_{index}": name for index, name in enumerate(classes)}
    with whole_file(out / "sheets.landcover.vrt") as part:
        boxes_of = dict(zip(names, moved, strict=True))
        write_vrt(part, (height, width), place, boxes_of, {1: "land cover"}, tags, palette)
    style = qgis_style(dict(enumerate(classes)), palette)
    write_whole(out / "sheets.landcover.qml", style.encode())
    with whole_file(out / "sheets.gti.gpkg") as part:
        fields = {"location": np.array(names, object)}
        write_layer(part, to_ground(boxes, grid), fields, crs, "index")
