"""Masks with a palette: do their values mean the same in all files?"""

from collections.abc import Mapping, Sequence

from mmengine.logging import MMLogger

from mmseg.imagery.mask import IGNORE_INDEX, Colour, palette_of


def warn_of_nodata(mask: str, nodata: float | None, meta: Mapping) -> None:
    """Log it if the nodata value of a mask is the id of a class, whose pixels are then ignored."""
    names = dict(enumerate(meta["classes"], int(bool(meta.get("reduce_zero_label")))))
    if nodata is not None and nodata in names:
        MMLogger.get_current_instance().warning(
            f"{mask}: its nodata value is {nodata:g}, the id of {names[int(nodata)]!r}: pixels of "
            "that class are ignored; gdal_edit.py -unsetnodata makes them count"
        )


def compare_palettes(
    masks: Sequence[str], meta: Mapping
) -> tuple[dict[Colour, int] | None, tuple[str, ...]]:
    """Compare the palettes of masks with each other, and with the data set's, `meta["palette"]`.

    If they differ from each other, return the value of each class's colour, for `read_mask`, and
    the paths of two that differ. Otherwise the values are ids: None and no path. A warning says
    that palettes differ.
    """
    classes = [tuple(colour) for colour in meta["palette"]]
    first = int(bool(meta.get("reduce_zero_label")))
    seen: dict[int, tuple[Colour, str]] = {}
    logger = MMLogger.get_current_instance()
    tables = set()
    for mask in masks:
        table = tuple(palette_of(mask)[:IGNORE_INDEX])
        if table in tables:
            continue
        tables.add(table)
        for index, colour in enumerate(table):
            known, other = seen.setdefault(index, (colour, mask))
            if colour != known:
                logger.warning(
                    f"palettes of masks differ: {index} is {known} in {other} and {colour} in "
                    f"{mask}; so masks with a palette are read by the colours of metainfo.palette"
                )
                values = {c: k for k, c in enumerate(classes, first) if classes.count(c) == 1}
                return values, (other, mask)
    for index, colour in enumerate(classes, first):
        found, mask = seen.get(index, (colour, ""))
        if found != colour:
            logger.warning(
                f"{mask}: its palette is not metainfo.palette: {index} is {found} there and "
                f"{colour} here; masks are read by their values, not by their colours"
            )
            break
    return None, ()
