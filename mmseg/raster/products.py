"""The files written of a scene, each under its final name only when it is whole."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from mmseg.raster.cog import FULL, Strip, Style, write_cog, write_vrt
from mmseg.raster.georeference import row_areas
from mmseg.raster.options import MapOptions
from mmseg.raster.polygons import write_polygons
from mmseg.raster.scene import Scene
from mmseg.raster.strips import Workshop
from mmseg.raster.style import preview, qgis_style
from mmseg.raster.survey import Survey, survey
from mmseg.raster.windows import WindowAxis
from mmseg.visualization.images import write_image


class Products:
    """The outputs of one scene in the folder `out`; `meta` has the data set's classes, palette.

    The map itself comes last: where it is, everything is.
    """

    def __init__(self, scene: Scene, out: Path, meta: Mapping, options: MapOptions) -> None:
        self.scene = scene
        self.out = out
        self.classes, self.palette = list(meta["classes"]), list(meta["palette"])
        self.options = options
        self.map_path = self._path("landcover.tif")
        self.workshop_folder = out / f".{scene.name}.unfinished"

    @property
    def layers(self) -> dict[str, int]:
        """Name and number of bands of what the strips hold."""
        layers = {"landcover": 1}
        if self._has_polygons:
            layers["confidence"] = 1
        if self.options.probabilities:
            layers["probabilities"] = len(self.classes)
        return layers

    def are_finished(self, job: str) -> bool:
        """Tell whether the map is there and of this job."""
        if not self.map_path.is_file():
            return False
        try:
            with rasterio.open(self.map_path) as raster:
                return raster.tags().get("SEGNEXT_JOB") == job
        except RasterioError:
            return False

    def write(self, workshop: Workshop, rows: WindowAxis, job: str) -> None:
        """Make everything of the finished strips and remove them."""
        self._write_cogs(workshop, rows, job)
        folder, areas = workshop.folder, self._row_areas()
        map_path = folder / self.map_path.name
        table = survey(str(map_path), len(self.classes), areas).to_csv(self.classes)
        (folder / self._path("areas.csv").name).write_text(table, encoding="utf-8")
        style = qgis_style(self.classes, self.palette)
        (folder / self._path("landcover.qml").name).write_text(style, encoding="utf-8")
        picture = preview(self.scene, str(map_path), self.classes, self.palette)
        write_image(folder / self._path("preview.png").name, picture)
        kinds = ["areas.csv", "landcover.qml", "preview.png"]
        if self.options.probabilities:
            kinds.append("probabilities.tif")
        if self._has_polygons and areas is not None:
            kinds.append("landcover.gpkg")
            target = folder / self._path(kinds[-1]).name
            confidence, min_area = folder / "confidence.vrt", self.options.min_area
            write_polygons(target, map_path, confidence, self.classes, areas, min_area)
        for kind in [*kinds, "landcover.tif"]:
            workshop.publish(self._path(kind))
        workshop.clear()

    def survey(self) -> Survey:
        """Measure the finished map."""
        return survey(str(self.map_path), len(self.classes), self._row_areas())

    def _write_cogs(self, workshop: Workshop, rows: WindowAxis, job: str) -> None:
        names = {f"CLASS_{i}": name for i, name in enumerate(self.classes)}
        tags = {**names, "SEGNEXT_JOB": job}
        styles = {
            "landcover": Style(["land cover"], tags, palette=self.palette),
            "confidence": Style(["confidence"], tags, scale=1 / FULL),
            "probabilities": Style(self.classes, tags, scale=1 / FULL),
        }
        for layer in workshop.layers:
            strips = [
                Strip(workshop.strip(layer, index), *rows.strip(index))
                for index in range(rows.count)
            ]
            vrt = workshop.folder / f"{layer}.vrt"
            write_vrt(
                vrt, strips, self.scene.width, self.scene.transform, self.scene.crs, styles[layer]
            )
            if layer != "confidence":  # only the polygons use it
                target = workshop.folder / self._path(f"{layer}.tif").name
                write_cog(vrt, target, "MODE" if layer == "landcover" else "AVERAGE")

    @property
    def _has_polygons(self) -> bool:
        return self.options.polygons and self.scene.crs is not None

    def _path(self, kind: str) -> Path:
        return self.out / f"{self.scene.name}.{kind}"

    def _row_areas(self) -> np.ndarray | None:
        if self.scene.crs is None:
            return None
        return row_areas(self.scene.transform, self.scene.crs, self.scene.height, self.scene.width)
