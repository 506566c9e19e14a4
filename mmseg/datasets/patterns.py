"""Images and masks by patterns of their paths, for folders that a data set was not made for."""

import os
import re
from collections.abc import Mapping

from mmseg.errors import UserError
from mmseg.imagery.listing import names_in

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
            groups = {"*": "([^/]*)", "{name}": "(?P<name>[^/]*)"}
            stars = (rf"\g<{i}>" for i, text in enumerate(WILD.findall(image), 1) if text == "*")
            self.mask = WILD.sub(
                lambda m: next(stars, r"\g<99>") if m[0] == "*" else r"\g<name>", self.mask
            )
            parts = re.split(r"(\*|\{name\})", image)
            image = "".join(groups.get(part) or re.escape(part) for part in parts)
        try:
            self.image = re.compile(image)
        except re.error as error:
            raise UserError(f"img_path={image!r}: no regular expression ({error})") from error

    def names(self) -> list[str]:
        """Return the paths of the images below `root`, sorted."""
        found = list(filter(self.image.fullmatch, names_in(self.root)))
        if not found:
            raise UserError(f"{self.root}: no image matches the pattern of img_path")
        return found

    def files(self, name: str) -> tuple[str, str]:
        """Return the files of image and mask, which may be missing; without masks only the root."""
        if (match := self.image.fullmatch(name)) is None:
            raise UserError(f"{name}: does not match img_path; write paths below {self.root}")
        try:
            mask = match.expand(self.mask)
        except (IndexError, re.error) as error:
            raise UserError(f"{name}: seg_map_path does not fit img_path ({error})") from error
        return os.path.join(self.root, name), os.path.join(self.root, mask)


def patterns_in(prefix: Mapping[str, str], root: str) -> PathPatterns | None:
    """Return the patterns that `prefix` holds; None if the path of the images is a folder."""
    path = str(prefix.get("img_path"))
    return PathPatterns(root, prefix) if WILD.search(path) or GROUP.search(path) else None
