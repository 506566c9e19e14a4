"""Images and masks by patterns of their paths, for folders that a data set was not made for."""

import os
import re
from collections.abc import Mapping
from typing import Any

from mmseg.errors import UserError
from mmseg.imagery.listing import files_below

WILD = re.compile(r"\*|\{name\}")
GROUP = re.compile(r"\([.\\\[]")  # "(.*)", "(\d+)" and "([a-z]+)", but not the folder "copy (2)"


class PathPatterns:
    r"""Files below `root` by patterns, and the mask of each image.

    `prefix` has `img_path` and, if there are masks, `seg_map_path`. Both are either globs such as
    "Tile */images/{name}.jpg", of which the mask repeats what `*` and `{name}` stand for, or a
    regular expression and what it becomes: "images/tile_(.*)\.jpg" and "masks/mask_\1.png".
    """

    def __init__(self, root: str, prefix: Mapping[str, str]) -> None:
        self.root, image, self.mask = root, prefix["img_path"], prefix.get("seg_map_path") or ""
        if not GROUP.search(image):
            wild = WILD.findall(image)
            stars = iter([rf"\g<{i}>" for i, text in enumerate(wild, 1) if text == "*"])
            repeated = {"*": lambda: next(stars, r"\g<99>"), "{name}": lambda: r"\g<name>"}
            self.mask = WILD.sub(lambda match: repeated[match[0]](), self.mask)
            image = re.escape(image).replace(r"\*", "([^/]*)")
            image = image.replace(r"\{name\}", "(?P<name>[^/]*)")
        self.image = re.compile(image)

    @staticmethod
    def are_in(prefix: Mapping[str, str]) -> bool:
        """Tell whether the path of the images is a pattern."""
        path = str(prefix.get("img_path"))
        return bool(WILD.search(path) or GROUP.search(path))

    def names(self) -> list[str]:
        """Return the paths of the images below `root`, sorted."""
        paths = [os.path.relpath(path, self.root) for path in files_below(self.root)]
        names = [path.replace(os.sep, "/") for path in paths]
        if not (found := sorted(filter(self.image.fullmatch, names))):
            raise UserError(f"{self.root}: no image matches the pattern of img_path")
        return found

    def files(self, name: str) -> tuple[str, str]:
        """Return the files of image and mask, "" without masks; they may be missing."""
        match: Any = self.image.fullmatch(name)
        try:
            mask = match.expand(self.mask)
        except (AttributeError, IndexError, re.error) as error:
            raise UserError(f"{name}: img_path and seg_map_path do not fit it ({error})") from error
        return os.path.join(self.root, name), mask and os.path.join(self.root, mask)
