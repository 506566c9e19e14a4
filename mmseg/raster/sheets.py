"""Sheets that touch: the windows of one read the pixels of its neighbours."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import rasterio
from mmengine.logging import MMLogger
from rasterio import Affine
from rasterio.errors import RasterioError
from scipy.sparse.csgraph import connected_components

from mmseg.errors import UserError
from mmseg.raster.scene import Scene
from mmseg.raster.windows import WindowAxis, window_axis

# First row and column, end of rows and of columns, in pixels from the origin of the CRS.
Box = tuple[int, int, int, int]
# Two scenes that share more than this part of the smaller one show the same ground.
MOST_OVERLAP = 0.2


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
            count, group_of = connected_components((shared >= 0).all(axis=2))
            for group in range(count):
                of_group = np.flatnonzero(group_of == group)
                if is_same[np.ix_(of_group, of_group)].sum() == len(of_group):
                    self._groups.append({list(boxes)[i]: list(boxes.values())[i] for i in of_group})

    def ground(self, scene: Scene, open_scene: Callable[[str], Scene]) -> "Ground":
        """Return the ground of a scene. Scenes of a group are scaled to 8 bits alike."""
        alone = {scene.path: (0, 0, scene.height, scene.width)}
        boxes = next((group for group in self._groups if scene.path in group), alone)
        if scene.ranges is None or len(boxes) == 1:
            return Ground(scene, boxes, open_scene)
        key = id(boxes)
        if key not in self._ranges:
            found = [_or_none(open_scene, path) for path in boxes]
            ranges = [each.ranges or [] for each in found if each is not None]
            self._ranges[key] = [tuple(band) for band in np.mean(ranges, axis=0).tolist()]

        def open_alike(path: str) -> Scene:
            opened = open_scene(path)
            opened.ranges = self._ranges[key]
            return opened

        scene.ranges = self._ranges[key]
        return Ground(scene, boxes, open_alike)


def _or_none(step: Callable, *args: Any) -> Any:
    """Return the result of a step with a neighbour; None, with a warning, if it is broken."""
    try:
        return step(*args)
    except UserError as error:
        MMLogger.get_current_instance().warning(f"{error}; its neighbours are mapped without it")
        return None


class Ground:
    """A scene and as much of the sheets around it as the windows over the scene cover.

    `boxes` are the places of the scene and of all the sheets of its group. The grid of windows
    begins where the group does, so that all its sheets share their windows. `top` and `left` are
    the place of the scene in the ground.
    """

    def __init__(
        self, scene: Scene, boxes: Mapping[str, Box], open_scene: Callable[[str], Scene]
    ) -> None:
        self.scene, self.boxes, self.open_scene = scene, boxes, open_scene
        self.top = self.left = 0
        self.sheets: list[tuple[Scene, int, int]] = [(scene, 0, 0)]  # with first row and column

    def lay(self, height: int, width: int, overlap: float) -> tuple[WindowAxis, WindowAxis]:
        """Lay windows over the scene, and open the sheets that they touch; return both axes."""
        places = np.array(list(self.boxes.values()))
        origin, end = places[:, :2].min(0), places[:, 2:].max(0)
        own = np.array(self.boxes[self.scene.path]).reshape(2, 2) - origin
        axes, starts = [], []
        for length, size, (first, last) in zip(end - origin, (height, width), own.T, strict=True):
            axis, start = window_axis(int(length), size, overlap).part(int(first), int(last))
            axes.append(axis)
            starts.append(start)
        self.top, self.left = (int(o) - s for o, s in zip(own[0], starts, strict=True))
        rows, columns = axes
        self.sheets = []
        for path, box in self.boxes.items():
            top, left = box[0] - origin[0] - starts[0], box[1] - origin[1] - starts[1]
            bottom, right = top + box[2] - box[0], left + box[3] - box[1]
            is_near = top < rows.length and left < columns.length and min(bottom, right) > 0
            if path == self.scene.path or not is_near:
                continue
            if (sheet := _or_none(self.open_scene, path)) is not None:
                self.sheets.append((sheet, int(top), int(left)))
        self.sheets.append((self.scene, self.top, self.left))  # the last one wins
        self.width = columns.length
        return rows, columns

    def read(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
        """Read rows of the ground as `Scene.read` does. Only pixels of the scene are to map."""
        shape = (bottom - top, self.width)
        image = np.zeros((len(self.scene.bands), *shape), np.uint8)
        filled, valid = np.zeros(shape, bool), np.zeros(shape, bool)
        for sheet, row, column in list(self.sheets):
            first, last = max(top, row), min(bottom, row + sheet.height)
            start, end = max(0, column), min(self.width, column + sheet.width)
            if first >= last or start >= end:
                continue
            box = (first - row, last - row, start - column, end - column)
            found = sheet.read(*box) if sheet is self.scene else _or_none(sheet.read, *box)
            if found is None:
                self.sheets.remove((sheet, row, column))
                continue
            part, known = found
            image = image.astype(part.dtype, copy=False)
            place = np.s_[first - top : last - top, start:end]
            taken = known | ~filled[place]
            np.copyto(image[:, place[0], place[1]], part, where=taken)
            filled[place] |= known
            if sheet is self.scene:
                valid[place] = known
        return image, valid
