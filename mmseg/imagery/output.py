"""Name the files of results: each image has one of its own."""

import os
from pathlib import Path

from mmseg.errors import UserError


class OutputNames:
    """Name the PNG of each image: `<folder>/<stem>.png`.

    With `root`, the name keeps the image's path below that folder: `<folder>/<path>/<stem>.png`.
    """

    def __init__(self, folder: str | Path, root: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.root = root
        self._image_of: dict[Path, str] = {}

    def __call__(self, img_path: str) -> Path:
        """Return the file of an image; raise UserError when another image has it already."""
        image = Path(os.path.abspath(img_path))
        root = image.parent if self.root is None else os.path.abspath(self.root)
        path = self.folder / image.relative_to(root).with_suffix(".png")
        other = self._image_of.setdefault(path, img_path)
        if other != img_path:
            raise UserError(f"{other} and {img_path} would both be written to {path}: rename one")
        return path
