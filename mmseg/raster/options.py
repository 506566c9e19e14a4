"""What a user can choose when mapping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmseg.errors import UserError


@dataclass(frozen=True)
class MapOptions:
    """How a scene is mapped and what is written of it.

    Args:
        overlap: Fraction of a window that it shares with the next, 0 to 0.5.
        batch_size: Windows that the model predicts at a time.
        bands: Numbers of the red, green and blue band, from 1; see `Scene`.
        scale: Sample values of a 16-bit scene that become 0 and 255; see `Scene`.
        nodata: Value of pixels without image, a whole number, where the file does not say it.
        gsd: Metres per pixel that the model was trained at; the scene's own where it is None.
        aoi: File of polygons; what lies outside is not mapped.
        polygons: Also write a GeoPackage.
        min_area: Polygons smaller than so many m2 go to their largest neighbour.
        probabilities: Also write the probability of each class.
    """

    overlap: float = 0.25
    batch_size: int = 4
    bands: Sequence[int] | None = None
    scale: tuple[float, float] | None = None
    nodata: float | None = None
    gsd: float | None = None
    aoi: str | None = None
    polygons: bool = False
    min_area: float = 0.0
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
        if not 0 <= self.min_area < math.inf:
            raise UserError(f"the smallest area is {self.min_area}: give m2, 0 or more")
