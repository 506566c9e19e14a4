"""Images and masks by patterns of their paths, for folders that a data set was not made for."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

from mmseg.errors import UserError, shorten
from mmseg.imagery.listing import names_in

WILD = re.compile(r"\*|\{name\}")
GROUP = re.compile(r"\([.\\\[]")  # "(.*)", "(\d+)" and "([a-z]+)", but not the folder "copy (2)"


def check_complete(names: Sequence[str], folder: Path, suffix: str, kind: str, source: str) -> None:
    """Raise `UserError` if a folder lacks files of `names`; `source` says where to get them."""
    there = set(names_in(folder, suffix))
    absent = [shorten(name + suffix) for name in names if name not in there]
    if absent:
        shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
        forms = [{normalize("NFC", name) for name in group} for group in (there, names)]
        if forms[1] <= forms[0]:
            shown += " (the same names are there in another Unicode form: convmv --nfc)"
        raise UserError(
            f"{folder}: {len(absent)} of {len(names)} {kind} are not there: {shown}; {source}"
        )


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
        try:
            self.image = re.compile(image)
        except re.error as error:
            raise UserError(f"img_path={image!r}: no regular expression ({error})") from error

    @staticmethod
    def are_in(prefix: Mapping[str, str]) -> bool:
        """Tell whether the path of the images is a pattern."""
        path = str(prefix.get("img_path"))
        return bool(WILD.search(path) or GROUP.search(path))

    def names(self) -> list[str]:
        """Return the paths of the images below `root`, sorted."""
        found = list(filter(self.image.fullmatch, names_in(self.root, "")))
        if not found:
            raise UserError(f"{self.root}: no image matches the pattern of img_path")
        return found

    def check_complete(self, names: Sequence[str]) -> None:
        """Raise `UserError` if a file of the images `names` or of their masks is missing."""
        files = [file for name in names for file in self.files(name) if file]
        if absent := [file for file in files if not os.path.isfile(file)]:
            raise UserError(f"{absent[0]}: it and {len(absent) - 1} more files are not there")

    def files(self, name: str) -> tuple[str, str]:
        """Return the files of image and mask, "" without masks; they may be missing."""
        if (match := self.image.fullmatch(name)) is None:
            raise UserError(f"{name}: does not match img_path; write paths below {self.root}")
        try:
            mask = match.expand(self.mask)
        except (IndexError, re.error) as error:
            raise UserError(f"{name}: seg_map_path does not fit img_path ({error})") from error
        return os.path.join(self.root, name), mask and os.path.join(self.root, mask)
