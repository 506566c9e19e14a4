"""make_dataset: from scenes and labels to tiles, splits and a config that trains."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from rich.table import Table

from mmseg.datasets.classes import distinct_colours
from mmseg.errors import UserError
from mmseg.files import make_writable, sole_process, write_whole
from mmseg.geodata import output
from mmseg.geodata.labels import MaskLabels, PolygonLabels
from mmseg.geodata.options import DatasetOptions
from mmseg.geodata.output import Labels, Tile
from mmseg.geodata.sheets import SPLITS, Sheet, cells, open_sheets, sheet_groups, split_units
from mmseg.imagery.mask import IGNORE_INDEX
from mmseg.imagery.pictures import write_image

# Fewer scenes than this are split by blocks.
FEW_SHEETS = 10
# Blocks of the default size are halved until there are so many.
BLOCK, ENOUGH_BLOCKS = 2048, 12
Progress = Callable[[Sequence, str], Iterable]


def make_dataset(
    scenes: Sequence[str], options: DatasetOptions, out: Path, base: str, progress: Progress
) -> Table:
    """Make a data set in the folder `out`, with `out`/config.py; return a table of its classes.

    `base` is the config whose model and schedule it gets. `progress(items, title)` yields items.
    After an interruption, the same call goes on with the tiles that are missing. Raises `UserError`
    for scenes and labels that cannot be used, and if `out` holds another data set.
    """
    sheets = open_sheets(scenes, options.bands, options.nodata)
    labels = MaskLabels(options, sheets) if options.masks else PolygonLabels(options, sheets)
    if len(labels.classes) > IGNORE_INDEX:
        raise UserError(
            f"there are {len(labels.classes)} classes, masks of 8 bits hold {IGNORE_INDEX}: is "
            f"{options.class_field!r} the field of the classes?"
        )
    make_writable(out)
    with sole_process(out, "makes this data set", "--out"):
        done = output.read_journal(out, [*scenes, *labels.sources], options)
        tasks = list(cells(sheets, options.size))
        cut = output.make_tiles(progress(tasks, "Cutting tiles"), sheets, labels, out, done)
        tiles = [tile for tile in cut if tile.counts]
        if not tiles:
            raise UserError("no tile has both an image and labels")
        return _finish(out, sheets, labels, options, tiles, base)


def _finish(
    out: Path,
    sheets: Sequence[Sheet],
    labels: Labels,
    options: DatasetOptions,
    tiles: Sequence[Tile],
    base: str,
) -> Table:
    """Split the tiles, and write lists, contact sheet and config; the config comes last."""
    counts = np.array([[tile.counts.get(str(i), 0) for i in range(IGNORE_INDEX)] for tile in tiles])
    last = int(np.flatnonzero(counts.sum(0))[-1])
    classes = labels.classes[: max(labels.least, last + 1)]
    counts, area = counts[:, : len(classes)], (sheets[0].gsd or 0) ** 2 / 10_000
    if overlap := sum(tile.overlap for tile in tiles):
        wins = f"the highest {options.order}" if options.order else "the last one in the file"
        MMLogger.get_current_instance().warning(
            f"polygons overlap on {overlap * area:.4g} ha: there {wins} counts"
        )
    chosen = _split(sheets, options, tiles, counts)
    names = np.array([tile.name for tile in tiles])
    for split in set(chosen):
        text = "".join(f"{name}\n" for name in names[chosen == split])
        write_whole(out / "splits" / f"{split}.txt", text.encode())
    palette = distinct_colours([labels.colours.get(name) for name in classes])
    info: dict[str, Any] = {"classes": classes, "palette": palette}
    info |= {"bands": sheets[0].bands, "bits": sheets[0].bits}
    if sheets[0].gsd:
        info["gsd"] = float(f"{sheets[0].gsd:.6g}")
    train = [tile for tile, split in zip(tiles, chosen, strict=True) if split == "train"]
    picture = output.contact_sheet_of(out, [tile.name for tile in train], info)
    write_image(out / "contact_sheet.png", picture)
    counted = *output.mean_and_std(train), counts[chosen == "train"]
    text = output.config_text(base, info, *counted, options)
    write_whole(out / "config.py", text.encode())
    return _table(classes, labels.counts, counts, chosen, area)


def _split(
    sheets: Sequence[Sheet], options: DatasetOptions, tiles: Sequence[Tile], counts: np.ndarray
) -> np.ndarray:
    """Return the split of each tile, and log how they were chosen."""
    groups = sheet_groups(sheets)
    kind = options.split or ("blocks" if len(set(groups)) < FEW_SHEETS else "sheets")
    per_block = max(1, (options.block or BLOCK) // options.size)

    def units(per_block: int) -> list[tuple]:
        if kind == "sheets":
            return [(groups[t.sheet],) for t in tiles]
        return [(sheets[t.sheet].frame, *(n // per_block for n in t.cell)) for t in tiles]

    while not options.block and per_block > 1 and len(set(units(per_block))) < ENOUGH_BLOCKS:
        per_block //= 2
    found: dict[Hashable, np.ndarray] = {}
    for unit, own in zip(units(per_block), counts, strict=True):
        found[unit] = found.get(unit, 0) + own
    shares = {"train": 1 - options.val - options.test, "val": options.val, "test": options.test}
    split = split_units(found, shares, options.seed)
    numbers = Counter(split.values())
    side = f" of {per_block * options.size} pixels" if kind == "blocks" else ""
    text = ", ".join(f"{name} {numbers[name]}" for name in SPLITS)
    MMLogger.get_current_instance().info(f"{len(tiles)} tiles are split by {kind}{side}: {text}")
    return np.array([split[unit] for unit in units(per_block)])


def _table(
    classes: Sequence[str], polygons: Counter, counts: np.ndarray, chosen: np.ndarray, area: float
) -> Table:
    table = Table("class", "polygons", "hectares" if area else "pixels", *SPLITS)
    for name, own in zip(classes, counts.T, strict=True):
        total = own.sum()
        shares = [f"{own[chosen == split].sum() / max(total, 1):.0%}" for split in SPLITS]
        size = f"{total * area:,.2f}" if area else f"{total:,}"
        table.add_row(name, str(polygons.get(name, "")), size, *shares)
    return table
