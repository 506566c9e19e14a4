"""Which scenes the names on a command line mean."""

from collections.abc import Sequence
from pathlib import Path

from mmseg.errors import UserError

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".ecw")
OUTPUTS = (".landcover.tif", ".probabilities.tif")


def find_scenes(inputs: Sequence[str]) -> list[str]:
    """Return the scenes in folders, and every other input, which GDAL may open or not."""
    scenes: list[str] = []
    for name in inputs:
        if not Path(name).is_dir():
            scenes.append(name)
            continue
        files = sorted(path for path in Path(name).iterdir() if path.suffix.lower() in SUFFIXES)
        found = [str(path) for path in files if not _is_hidden_or_made(path.name)]
        if not found:
            raise UserError(f"{name}: no raster in this folder ({' '.join(SUFFIXES)})")
        scenes += found
    names: dict[str, str] = {}
    for scene in scenes:
        other = names.setdefault(Path(scene).stem, scene)
        if other != scene:
            raise UserError(f"{other} and {scene} have the same name: map them into two folders")
    return scenes


def _is_hidden_or_made(name: str) -> bool:
    return name.startswith(".") or name.endswith(OUTPUTS)
