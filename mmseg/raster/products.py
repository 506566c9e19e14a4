"""The files written for a scene. Each appears under its final name only when it is whole."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import rasterio
from mmengine.logging import MMLogger
from rasterio.errors import RasterioError

from mmseg.errors import UserError
from mmseg.imagery.pictures import panels, write_image
from mmseg.raster.georeference import row_areas
from mmseg.raster.measure import SceneMap, class_areas, compare, labels
from mmseg.raster.options import VECTORS, MapOptions
from mmseg.raster.polygons import write_polygons
from mmseg.raster.scene import SIDECAR_SUFFIXES
from mmseg.raster.sheets import Ground
from mmseg.raster.strips import NODATA, UnfinishedMap, write_cog, write_vrt
from mmseg.raster.style import add_attribute_table, qgis_style

# Tags of the rasters: hashes of their job and of their scene.
JOB, SCENE = "SEGNEXT_JOB", "SEGNEXT_SCENE"
# The ends of the names of the outputs. The map is last.
KINDS = ("areas.csv", "landcover.qml", "preview.png", *(f"landcover.{end}" for end in VECTORS))
KINDS += ("confidence.tif", "probabilities.tif", "landcover.tif")
PREVIEW = 960  # the longest side of each picture, in pixels


class Products:
    """The outputs of one scene in the folder `out`; `meta` has the data set's classes, palette.

    `job` holds the facts that they depend on. The map itself is written last: if it is there,
    everything is.
    """

    def __init__(
        self, ground: Ground, out: Path, meta: Mapping, options: MapOptions, job: dict
    ) -> None:
        self.ground, self.out, self.meta, self.options, self.job = ground, out, meta, options, job
        self.scene = scene = ground.scene
        # A finished map is finished, whatever computed it.
        content = {key: value for key, value in job.items() if key != "engine"}
        texts = json.dumps(content, sort_keys=True), scene.source
        digest, mark = (hashlib.sha256(text.encode()).hexdigest() for text in texts)
        self.tags = {JOB: digest, SCENE: mark[:16]}
        self.classes, self.palette = list(meta["classes"]), list(meta["palette"])
        self.row_areas: np.ndarray | None = None
        if scene.resolution:
            self.row_areas = row_areas(scene.transform, scene.crs, scene.height, scene.width)
            self.tolerance = options.simplify / math.sqrt(math.prod(scene.resolution))
        self.vectors = options.vectors if scene.resolution else None
        # The layers that a model gives: the names of their bands, by the numbers in a strip.
        self.layers = {"landcover": {1: "land cover"}}
        if self.vectors or options.confidence:
            self.layers["confidence"] = {2: "confidence"}
        if options.probabilities:
            self.layers["probabilities"] = dict(enumerate(self.classes, len(self.layers) + 1))
        wanted = {"confidence.tif": options.confidence, "probabilities.tif": options.probabilities}
        wanted |= {f"landcover.{vectors}": vectors == self.vectors for vectors in VECTORS}
        self.kinds = [kind for kind in KINDS if wanted.get(kind, True)]
        self.map_path = self._path("landcover.tif")
        self.unfinished = UnfinishedMap(out / f".{scene.name}.unfinished")

    def are_finished(self) -> bool:
        """Tell whether all outputs are there, and the map is of this job."""
        are_there = all(self._path(kind).is_file() for kind in self.kinds)
        return are_there and self._tag(JOB) == self.tags[JOB]

    def check_scene(self) -> None:
        """Raise `UserError` if the outputs would replace those of another scene of this name."""
        cure = "choose another --out, or delete it"
        if self.vectors and {*"!;"} & {*str(self.map_path)}:
            raise UserError(f"{self.map_path}: polygons cannot be written to a path with ! or ;")
        if self._tag(SCENE) not in (None, self.tags[SCENE]):
            raise UserError(f"{self.map_path}: is the map of another scene of this name; {cure}")
        other = self.unfinished.job.get("scene", {}).get("path", self.scene.source)
        if other != self.scene.source:
            raise UserError(f"{self.unfinished.folder}: is the unfinished map of {other}; {cure}")
        self._check_unused()

    def _check_unused(self) -> None:
        """Raise `UserError` if another program has the GeoPackage open, or was killed with it."""
        path = self._path("landcover.gpkg")
        for companion in (path.with_name(path.name + end) for end in ("-wal", "-journal")):
            if path.is_file() and companion.exists():
                raise UserError(
                    f"{path}: is open in a program such as QGIS, or was when that was killed: "
                    f"close it there, or delete it with its {companion.name}, and start again"
                )

    def write(self) -> None:
        """Make everything of the finished strips."""
        self._write_cogs()
        folder = self.unfinished.folder
        made = {kind: folder / self._path(kind).name for kind in self.kinds}
        map_path = made["landcover.tif"]
        areas = class_areas(str(map_path), len(self.classes), self.row_areas)
        made["areas.csv"].write_text(areas.to_csv(self.classes), encoding="utf-8")
        names = dict(enumerate(self.classes))
        style = qgis_style(names, self.palette)
        made["landcover.qml"].write_text(style, encoding="utf-8")
        measures = {"Pixels": areas.pixels}
        if areas.hectares is not None:
            measures["Hectares"] = areas.hectares
        add_attribute_table(map_path, names, self.palette, measures)
        write_image(made["preview.png"], self._preview(map_path))
        if self.vectors and self.row_areas is not None:
            paths = made[f"landcover.{self.vectors}"], map_path, folder / "confidence.vrt"
            limits = self.options.min_area, self.tolerance
            write_polygons(*paths, self.classes, self.row_areas, *limits, style)
        self._check_unused()
        for kind in KINDS:  # files of an earlier map would look like a part of the new one
            path = self._path(kind)
            for suffix in SIDECAR_SUFFIXES:
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            if kind not in self.kinds and path.is_file():
                MMLogger.get_current_instance().warning(f"{path} of an earlier map is removed")
                path.unlink()
        for kind in self.kinds:
            aux = made[kind].with_name(made[kind].name + ".aux.xml")
            # The attribute table of the map, or a CRS that no GeoTIFF holds.
            if kind == "landcover.tif" or (aux.is_file() and b"<SRS" in aux.read_bytes()):
                os.replace(aux, self.out / aux.name)
            os.replace(made[kind], self._path(kind))

    def measure(self, truth: str | None) -> SceneMap:
        """Measure the finished map; with a truth, compare them and draw the preview again."""
        path, matrix = str(self.map_path), None
        if truth:
            write_image(self._path("preview.png"), self._preview(self.map_path, truth))
            matrix = compare(path, truth, self.meta)
        areas = class_areas(path, len(self.classes), self.row_areas)
        return SceneMap(self.map_path, areas, matrix)

    def _preview(self, map_path: Path, truth: str | None = None) -> np.ndarray:
        """Return scene, map and legend, and truth and errors if there is one, uint8 RGB."""
        image = self.scene.overview(PREVIEW)
        with rasterio.open(map_path) as raster:
            ids = raster.read(1, out_shape=image.shape[:2])  # from the overviews
        known = None
        if truth is not None:
            with rasterio.open(truth) as raster:
                values = raster.read(1, out_shape=ids.shape, masked=True)
            known = labels(values, ids != NODATA, truth, self.meta)
        empty = len(self.classes)
        ids[ids == NODATA] = empty
        key = [*self.classes, "no data"], [*self.palette, (255, 255, 255)]
        return panels(self.scene.name, image, *key, 1, ids, known)

    def _write_cogs(self) -> None:
        scene, ground, folder = self.scene, self.ground, self.unfinished.folder
        place = {name: getattr(scene.raster, name) for name in ("crs", "transform", "gcps", "rpcs")}
        is_known = place["crs"], not scene.transform.is_identity, place["gcps"][0], place["rpcs"]
        place = {name: place[name] for name, known in zip(place, is_known, strict=True) if known}
        tags = {f"CLASS_{i}": name for i, name in enumerate(self.classes)}
        boxes = {}
        for index in range(ground.rows.count):
            top, bottom = ground.rows.strip(index)
            box = -ground.left, top - ground.top, ground.columns.length, bottom - top
            boxes[self.unfinished.strip(index).name] = box
        for layer, bands in self.layers.items():
            vrt, is_map = folder / f"{layer}.vrt", layer == "landcover"
            size, palette = scene.raster.shape, self.palette if is_map else None
            write_vrt(vrt, size, place, boxes, bands, tags | self.tags, palette)
            if f"{layer}.tif" in self.kinds:
                target = folder / self._path(f"{layer}.tif").name
                write_cog(vrt, target, "MODE" if is_map else "AVERAGE")

    def _path(self, kind: str) -> Path:
        return self.out / f"{self.scene.name}.{kind}"

    def _tag(self, name: str) -> str | None:
        with suppress(RasterioError), rasterio.open(self.map_path) as raster:
            return raster.tags().get(name)
        return None
