"""The choices a user has when mapping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmseg.errors import UserError
from mmseg.raster.simplify import check_simplify
from mmseg.raster.vectors import check_vectors


@dataclass(frozen=True)
class MapOptions:
    """How a scene is mapped, and which files are written.

    Args:
        overlap: Fraction of a window that it shares with the next, 0 to 0.5.
        batch_size: Number of windows that the model predicts at a time.
        bands: Numbers of the model's bands, from 1, in their order. None means the bands that the
            file calls so; without names, the first three.
        scale: Sample values of a 16-bit scene that become 0 and 255. None means percentiles.
        nodata: Sample value of pixels without image, a whole number, for files that do not say it.
        alpha: Number of the band that is 0 where there is no image, 0 for none. None means every
            band that the file calls alpha and that looks like a mask.
        gsd: Metres per pixel of the model's training images. None means those that the model
            stores, or else those of the scene.
        aoi: File of polygons. Pixels outside them are not mapped.
        polygons: Also write the map as polygons, a GeoPackage.
        vectors: Also write polygons, in this format: gpkg, fgb, parquet or geojson.
        simplify: In metres. Polygons lose vertices whose triangle with their neighbours is smaller
            than the square of it. 0 keeps all.
        min_area: In m2. A smaller polygon becomes a part of its largest neighbour.
        confidence: Also write the probability of the class on the map.
        probabilities: Also write the probability of each class.

    Raises `UserError` for a value with which nothing could be mapped.
    """

    overlap: float = 0.25
    batch_size: int = 4
    bands: Sequence[int] | None = None
    scale: tuple[float, float] | None = None
    nodata: float | None = None
    alpha: int | None = None
    gsd: float | None = None
    aoi: str | None = None
    polygons: bool = False
    vectors: str | None = None
    simplify: float = 0.0
    min_area: float = 0.0
    confidence: bool = False
    probabilities: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"the batch size is {self.batch_size}: choose 1 window or more")
        if self.gsd is not None and not 0 < self.gsd < math.inf:
            raise UserError(f"the gsd is {self.gsd}: give the metres that a pixel covers")
        if self.scale is not None and not -math.inf < self.scale[0] < self.scale[1] < math.inf:
            low, high = self.scale
            raise UserError(f"the scale is {low:g} to {high:g}: give two numbers, the larger last")
        if self.nodata is not None and not float(self.nodata).is_integer():
            raise UserError(f"the nodata value is {self.nodata}: samples are whole numbers")
        check_vectors(self.vectors)
        if not 0 <= self.simplify < math.inf:
            raise UserError(f"simplify is {self.simplify}: give metres, 0 or more")
        if self.simplify:
            check_simplify()
        if not 0 <= self.min_area < math.inf:
            raise UserError(f"the smallest area is {self.min_area}: give m2, 0 or more")

    @property
    def vector_format(self) -> str | None:
        """The format of the polygons; None if there are none."""
        return self.vectors or ("gpkg" if self.polygons else None)
