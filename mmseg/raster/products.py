"""The files written for a scene. Each appears under its final name only when it is whole."""

import os
from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import rasterio
from mmengine.logging import MMLogger
from rasterio.errors import RasterioError

from mmseg.errors import UserError
from mmseg.imagery.pictures import Palette, panels, write_image
from mmseg.raster.cog import NODATA, write_cog, write_vrt
from mmseg.raster.georeference import row_areas
from mmseg.raster.measure import ClassAreas, class_areas, labels
from mmseg.raster.options import MapOptions
from mmseg.raster.polygons import write_polygons
from mmseg.raster.scene import SIDECAR_SUFFIXES, Scene
from mmseg.raster.unfinished import UnfinishedMap
from mmseg.raster.windows import WindowAxis

# Tags of the rasters: hashes of their job and of their scene.
JOB, SCENE = "SEGNEXT_JOB", "SEGNEXT_SCENE"
# The outputs by the ends of their names, each with the layer that it is made of. The map is last.
LAYER_OF = {
    "areas.csv": "landcover",
    "landcover.qml": "landcover",
    "preview.png": "landcover",
    "landcover.gpkg": "confidence",
    "probabilities.tif": "probabilities",
    "landcover.tif": "landcover",
}
PREVIEW = 960  # the longest side of each picture, in pixels
QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.0" styleCategories="Symbology"><pipe>\
<rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1">\
<colorPalette>{}</colorPalette></rasterrenderer></pipe></qgis>"""


class Products:
    """The outputs of one scene in the folder `out`; `meta` has the data set's classes, palette.

    The map itself is written last: if it is there, everything is.
    """

    def __init__(self, scene: Scene, out: Path, meta: Mapping, options: MapOptions) -> None:
        self.scene = scene
        self.out = out
        self.meta = meta
        self.classes, self.palette = list(meta["classes"]), list(meta["palette"])
        self.min_area = options.min_area
        self.row_areas: np.ndarray | None = None
        if scene.is_measurable:
            self.row_areas = row_areas(scene.transform, scene.crs, scene.height, scene.width)
        has_polygons = options.polygons and scene.is_measurable
        wanted = True, has_polygons, options.probabilities
        self.layers = list(compress(("landcover", "confidence", "probabilities"), wanted))
        self.kinds = [kind for kind, layer in LAYER_OF.items() if layer in self.layers]
        self.map_path = self._path("landcover.tif")
        self.unfinished = UnfinishedMap(out / f".{scene.name}.unfinished", self.layers)

    def are_finished(self, job: str) -> bool:
        """Tell whether all outputs are there, and whether the map has this hash of its job."""
        return all(self._path(kind).is_file() for kind in self.kinds) and self._tag(JOB) == job

    def check_scene(self) -> None:
        """Raise `UserError` if the outputs would replace those of another scene of this name."""
        cure = "choose another --out, or delete it"
        if self._tag(SCENE) not in (None, self.scene.mark):
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

    def write(self, rows: WindowAxis, job: str) -> None:
        """Make everything of the finished strips."""
        self._write_cogs(rows, job)
        made = {kind: self.unfinished.folder / self._path(kind).name for kind in self.kinds}
        map_path = made["landcover.tif"]
        areas = class_areas(str(map_path), len(self.classes), self.row_areas)
        made["areas.csv"].write_text(areas.to_csv(self.classes), encoding="utf-8")
        style = qgis_style(self.classes, self.palette)
        made["landcover.qml"].write_text(style, encoding="utf-8")
        write_image(made["preview.png"], self._preview(map_path))
        if self.row_areas is not None and "landcover.gpkg" in made:
            confidence, target = self.unfinished.folder / "confidence.vrt", made["landcover.gpkg"]
            places = (target, map_path, confidence)
            write_polygons(*places, self.classes, self.row_areas, self.min_area)
        self._check_unused()
        for kind in LAYER_OF:
            self._forget(kind)
        for kind in self.kinds:
            aux = made[kind].with_name(made[kind].name + ".aux.xml")
            if aux.is_file() and b"<SRS" in aux.read_bytes():  # a CRS that no GeoTIFF holds
                os.replace(aux, self.out / aux.name)
            os.replace(made[kind], self._path(kind))

    def areas(self) -> ClassAreas:
        """Measure the finished map."""
        return class_areas(str(self.map_path), len(self.classes), self.row_areas)

    def draw_truth(self, truth: str) -> None:
        """Draw the preview of the finished map again, with a truth and the errors."""
        write_image(self._path("preview.png"), self._preview(self.map_path, truth))

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

    def _forget(self, kind: str) -> None:
        """Remove files of an earlier map that would look like a part of the new one."""
        path = self._path(kind)
        for suffix in SIDECAR_SUFFIXES:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if kind not in self.kinds and path.is_file():
            MMLogger.get_current_instance().warning(f"{path} of an earlier map is removed")
            path.unlink()

    def _write_cogs(self, rows: WindowAxis, job: str) -> None:
        tags = {f"CLASS_{i}": name for i, name in enumerate(self.classes)}
        tags |= {JOB: job, SCENE: self.scene.mark}
        bands = {"landcover": ["land cover"], "probabilities": self.classes}
        for layer in self.layers:
            files = [self.unfinished.strip(layer, index).name for index in range(rows.count)]
            strips = {file: rows.strip(index) for index, file in enumerate(files)}
            vrt = self.unfinished.folder / f"{layer}.vrt"
            palette = self.palette if layer == "landcover" else None
            write_vrt(vrt, self.scene, strips, bands.get(layer, [layer]), tags, palette)
            if layer != "confidence":  # only the polygons use it
                target = self.unfinished.folder / self._path(f"{layer}.tif").name
                write_cog(vrt, target, "MODE" if layer == "landcover" else "AVERAGE")

    def _path(self, kind: str) -> Path:
        return self.out / f"{self.scene.name}.{kind}"

    def _tag(self, name: str) -> str | None:
        try:
            with rasterio.open(self.map_path) as raster:
                return raster.tags().get(name)
        except RasterioError:
            return None


def qgis_style(classes: Sequence[str], palette: Palette) -> str:
    """Return a QML document that paints class ids in the palette and names the classes."""
    entries = [
        f'<paletteEntry value="{index}" color="#{red:02x}{green:02x}{blue:02x}" alpha="255" '
        f"label={quoteattr(name)} />"
        for index, (name, (red, green, blue)) in enumerate(zip(classes, palette, strict=True))
    ]
    return QML.format("".join(entries))
