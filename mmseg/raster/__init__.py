"""Large georeferenced rasters: cutting them up, mapping them."""

from mmseg.raster.mapping import SceneMap, map_scene
from mmseg.raster.options import MapOptions

__all__ = ["MapOptions", "SceneMap", "map_scene"]
