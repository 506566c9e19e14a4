"""Large georeferenced rasters: cutting them up, mapping them."""

from mmseg.raster.mapping import SceneMap, map_scene
from mmseg.raster.options import MapOptions
from mmseg.raster.scene import find_scenes
from mmseg.raster.sheet_index import write_index
from mmseg.raster.sheets import Sheets

__all__ = ["MapOptions", "SceneMap", "Sheets", "find_scenes", "map_scene", "write_index"]
