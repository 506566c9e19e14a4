"""The choices a user has when making a data set."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmseg.errors import UserError


@dataclass(frozen=True)
class DatasetOptions:
    """How a data set is made.

    Args:
        labels: File of polygons, whose field `class_field` names the class of each.
        masks: Folder of masks instead; `colours` is their table, `classes` the names of their ids.
        layer: The layer of `labels`, if it has several.
        order: Field of `labels`: where polygons overlap, the highest value counts.
        area: File of polygons: outside of them, unlabelled pixels are ignored.
        unlabelled: "background" or "ignore".
        nearest: A colour that is not in the table means the nearest one.
        bands: Names of all bands of the scenes, in their order.
        nodata: Value of pixels without image, for files that do not say it.
        size: Width and height of a tile, in pixels.
        split: "sheets" or "blocks"; None means blocks if there are few scenes.
        block: Width and height of a block, in pixels; None means 2048, or less in a small area.
        val: Share of the validation, 0 to 1.
        test: Share of the test.
        seed: Of the choice of blocks.
    """

    labels: str | None = None
    class_field: str | None = None
    masks: str | None = None
    colours: str | None = None
    classes: Sequence[str] | None = None
    layer: str | None = None
    order: str | None = None
    area: str | None = None
    unlabelled: str = "background"
    nearest: bool = False
    bands: Sequence[str] | None = None
    nodata: float | None = None
    size: int = 512
    split: str | None = None
    block: int | None = None
    val: float = 0.15
    test: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.labels is None) == (self.masks is None):
            raise UserError("give --labels, a file of polygons, or --masks, a folder")
        if self.labels and not self.class_field:
            raise UserError("--class-field NAME: name the field of the labels that has the classes")
        if self.size < 32 or self.size % 32:
            raise UserError(f"--size {self.size}: give a multiple of 32")
        if not (self.val > 0 and self.test >= 0 and self.val + self.test < 1):
            raise UserError("--val and --test: give shares that leave something for the training")
