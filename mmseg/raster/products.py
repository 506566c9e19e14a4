"""The files written of a scene, each under its final name only when it is whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from mmengine.logging import MMLogger
from rasterio.errors import RasterioError

from mmseg.imagery.pictures import Palette, write_image
from mmseg.raster.cog import FULL, Strip, Style, write_cog, write_vrt
from mmseg.raster.georeference import row_areas
from mmseg.raster.options import MapOptions
from mmseg.raster.polygons import write_polygons
from mmseg.raster.scene import VIEWERS, Scene
from mmseg.raster.strips import Workshop
from mmseg.raster.style import preview, qgis_style
from mmseg.raster.survey import Survey, survey
from mmseg.raster.windows import WindowAxis

# Tags of the rasters: which job, and which scene, they are of.
JOB, SCENE = "SEGNEXT_JOB", "SEGNEXT_SCENE"
# The outputs by the ends of their names, the map last, and the layer that each is made of.
LAYER_OF = {
    "areas.csv": "landcover",
    "landcover.qml": "landcover",
    "preview.png": "landcover",
    "landcover.gpkg": "confidence",
    "probabilities.tif": "probabilities",
    "landcover.tif": "landcover",
}


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
        self._survey: Survey | None = None
        self.workshop_folder = out / f".{scene.name}.unfinished"

    @property
    def layers(self) -> dict[str, int]:
        """Name and number of bands of what the strips hold."""
        layers = {"landcover": 1}
        if self.options.polygons and self.scene.is_measurable:
            layers["confidence"] = 1
        if self.options.probabilities:
            layers["probabilities"] = len(self.classes)
        return layers

    @property
    def kinds(self) -> list[str]:
        """The outputs by the ends of their names, the map last."""
        return [kind for kind, layer in LAYER_OF.items() if layer in self.layers]

    def are_finished(self, job: str) -> bool:
        """Tell whether all outputs are there, and the map is of this job."""
        if not all(self._path(kind).is_file() for kind in self.kinds):
            return False
        return self._tag(JOB) == job

    def mapped_scene(self) -> str | None:
        """Return the mark of the scene that the map there is of, None if there is none."""
        return self._tag(SCENE)

    def _tag(self, name: str) -> str | None:
        try:
            with rasterio.open(self.map_path) as raster:
                return raster.tags().get(name)
        except RasterioError:
            return None

    def write(self, workshop: Workshop, rows: WindowAxis, job: str) -> None:
        """Make everything of the finished strips."""
        self._write_cogs(workshop, rows, job)
        made = {kind: workshop.folder / self._path(kind).name for kind in self.kinds}
        map_path, areas = made["landcover.tif"], self._row_areas()
        self._survey = survey(str(map_path), len(self.classes), areas)
        made["areas.csv"].write_text(self._survey.to_csv(self.classes), encoding="utf-8")
        style = qgis_style(self.classes, self.palette)
        made["landcover.qml"].write_text(style, encoding="utf-8")
        picture = preview(self.scene, str(map_path), self.classes, self.palette)
        write_image(made["preview.png"], picture)
        if areas is not None and "landcover.gpkg" in made:
            confidence = workshop.folder / "confidence.vrt"
            target, min_area = made["landcover.gpkg"], self.options.min_area
            write_polygons(target, map_path, confidence, self.classes, areas, min_area)
        for kind in LAYER_OF:
            self._forget(kind)
        for kind in self.kinds:
            workshop.publish(self._path(kind))

    def _forget(self, kind: str) -> None:
        """Remove what an earlier map has left and would be taken for a part of the new one."""
        path = self._path(kind)
        for suffix in VIEWERS:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if kind not in self.kinds and path.is_file():
            MMLogger.get_current_instance().warning(f"{path} of an earlier map is removed")
            path.unlink()

    def survey(self) -> Survey:
        """Measure the finished map, unless `write` just did."""
        return self._survey or survey(str(self.map_path), len(self.classes), self._row_areas())

    def _write_cogs(self, workshop: Workshop, rows: WindowAxis, job: str) -> None:
        styles = _styles(self.classes, self.palette, {JOB: job, SCENE: self.scene.mark})
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

    def _path(self, kind: str) -> Path:
        return self.out / f"{self.scene.name}.{kind}"

    def _row_areas(self) -> np.ndarray | None:
        if not self.scene.is_measurable:
            return None
        return row_areas(self.scene.transform, self.scene.crs, self.scene.height, self.scene.width)


def _styles(classes: Sequence[str], palette: Palette, tags: Mapping[str, str]) -> dict[str, Style]:
    """What the raster of each layer says about its values."""
    tags = {f"CLASS_{i}": name for i, name in enumerate(classes)} | dict(tags)
    return {
        "landcover": Style(["land cover"], tags, palette=palette),
        "confidence": Style(["confidence"], tags, scale=1 / FULL),
        "probabilities": Style(classes, tags, scale=1 / FULL),
    }
