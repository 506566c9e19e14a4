"""The choices a user has when mapping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import shapely

from mmseg.errors import UserError

VECTORS = {"gpkg": "GPKG", "fgb": "FlatGeobuf", "geojson": "GeoJSON", "parquet": "Parquet"}


@dataclass(frozen=True)
class MapOptions:
    """How a scene is mapped, and which files are written.

    Args:
        overlap: Fraction of a window that it shares with the next, 0 to 0.5.
        batch_size: Number of windows that the model predicts at a time. By default 4 on a GPU, and
            1 on a CPU, where more would only take memory.
        bands: Numbers of the model's bands, from 1, in their order. None means the bands that the
            file calls so; without names, the first three.
        scale: Sample values of a 16-bit scene that become 0 and 255. None means percentiles.
        nodata: Sample value of pixels without image, for files that do not say it.
        alpha: Number of the band that is 0 where there is no image, 0 for none. None means every
            band that the file calls alpha and that looks like a mask.
        gsd: Metres per pixel of the model's training images. None means those that the model
            stores, or else those of the scene.
        aoi: File of polygons. Pixels outside them are not mapped.
        vectors: Also write polygons, in this format: gpkg, fgb, parquet or geojson.
        simplify: In metres. Polygons lose vertices whose triangle with their neighbours is smaller
            than the square of it. 0 keeps all.
        min_area: In m2. A smaller polygon becomes a part of its largest neighbour.
        confidence: Also write the probability of the class on the map.
        probabilities: Also write the probability of each class.

    Raises `UserError` for a value with which nothing could be mapped.
    """

    overlap: float = 0.25
    batch_size: int | None = None
    bands: Sequence[int] | None = None
    scale: tuple[float, float] | None = None
    nodata: float | None = None
    alpha: int | None = None
    gsd: float | None = None
    aoi: str | None = None
    vectors: str | None = None
    simplify: float = 0.0
    min_area: float = 0.0
    confidence: bool = False
    probabilities: bool = False

    def __post_init__(self) -> None:
        low, high = self.scale or (0, 1)
        batch_size, gsd = (1 if given is None else given for given in (self.batch_size, self.gsd))
        for name, is_right, advice in (
            ("overlap", 0 <= self.overlap <= 0.5, "choose a fraction from 0 to 0.5"),
            ("batch_size", batch_size >= 1, "choose 1 window or more"),
            ("scale", -math.inf < low < high < math.inf, "give two numbers, the larger last"),
            ("gsd", 0 < gsd < math.inf, "give the metres that a pixel covers"),
            ("simplify", 0 <= self.simplify < math.inf, "give metres, 0 or more"),
            ("min_area", 0 <= self.min_area < math.inf, "give m2, 0 or more"),
        ):
            if not is_right:
                raise UserError(f"{name} is {getattr(self, name)}: {advice}")
        if self.vectors not in (None, *VECTORS):
            raise UserError(f"vectors={self.vectors}: choose one of {', '.join(VECTORS)}")
        if (self.simplify or self.min_area) and self.vectors is None:
            raise UserError("simplify and min_area are of polygons: ask for these, too (vectors)")
        if self.vectors == "parquet" and find_spec("pyarrow") is None:
            raise UserError("vectors=parquet needs pyarrow: pip install pyarrow")
        if self.simplify and not hasattr(shapely, "coverage_simplify"):
            raise UserError("polygons are simplified by shapely 2.1 or newer: update it, with GEOS")
