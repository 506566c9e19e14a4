"""Large georeferenced rasters: cutting them up, mapping them."""

from mmseg.raster.mapping import map_scene
from mmseg.raster.measure import SceneMap
from mmseg.raster.options import MapOptions
from mmseg.raster.scene import find_scenes
from mmseg.raster.sheets import Sheets, write_index

__all__ = ["MapOptions", "SceneMap", "Sheets", "find_scenes", "map_scene", "write_index"]
