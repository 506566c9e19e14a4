"""make_dataset: from scenes and labels to tiles, splits and a config that trains."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from rasterio.windows import Window
from rich.table import Table

from mmseg.errors import UserError
from mmseg.files import make_writable, write_whole
from mmseg.geodata.config import config_text
from mmseg.geodata.masks import MaskLabels
from mmseg.geodata.pictures import contact_sheet_of, distinct_colours
from mmseg.geodata.polygons import BACKGROUND, PolygonLabels
from mmseg.geodata.sheets import Sheet, cells, open_sheets
from mmseg.geodata.splits import SPLITS, sheet_groups, split_units
from mmseg.imagery.geotiff import write_geotiff
from mmseg.imagery.mask import IGNORE_INDEX
from mmseg.imagery.pictures import write_id_png, write_image
from mmseg.lock import sole_process

# Fewer scenes than this are split by blocks.
FEW_SHEETS = 10
# Blocks of the default size are halved until there are so many.
ENOUGH_BLOCKS = 12
JOURNAL = ".tiles.jsonl"
Progress = Callable[[Sequence, str], Iterable]


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


@dataclass
class Tile:
    """What is known of a tile; `left_out` if it has no label or no image."""

    name: str
    sheet: int
    cell: tuple[int, int]
    left_out: bool = False
    counts: dict[str, int] | None = None  # pixels by id
    overlap: int = 0  # pixels in several polygons
    pixels: int = 0  # that have an image
    sums: list[float] | None = None  # of each band over them
    squares: list[float] | None = None


def make_dataset(
    scenes: Sequence[str], options: DatasetOptions, out: Path, base: str, progress: Progress
) -> Table:
    """Make a data set in the folder `out`, with `out`/config.py; return a table of its classes.

    `base` is the config whose model and schedule it gets. `progress(items, title)` yields items.
    After an interruption, the same call goes on with the tiles that are missing. Raises `UserError`
    for scenes and labels that cannot be used, and if `out` holds another data set.
    """
    sheets = open_sheets(scenes, options.bands)
    labels = _open_labels(sheets, options)
    make_writable(out)
    with sole_process(out, "makes this data set", "--out"):
        done = _begin(out, sheets, options)
        tasks = [
            (i, cell, window)
            for i, sheet in enumerate(sheets)
            for cell, window in cells(sheet, sheets[0], options.size)
        ]
        tiles = list(_make_tiles(progress(tasks, "Cutting tiles"), sheets, labels, out, done))
        tiles = [tile for tile in tiles if not tile.left_out]
        if not tiles:
            raise UserError("no tile has both an image and labels")
        return _finish(out, sheets, labels, options, tiles, base)


def _open_labels(sheets: Sequence[Sheet], options: DatasetOptions) -> Any:
    labels: Any
    if options.masks:
        labels = MaskLabels(options.masks, options.colours, options.classes, options.nearest)
    else:
        assert options.labels and options.class_field
        if lost := [sheet.path for sheet in sheets if not sheet.is_placed]:
            raise UserError(
                f"{lost[0]}: its place is unknown (no CRS or no transform), so polygons cannot be "
                "laid on it: give it one (gdal_edit), or use --masks"
            )
        labels = PolygonLabels(
            options.labels,
            options.class_field,
            sheets[0].crs,
            options.layer,
            options.order,
            options.area,
            options.unlabelled == "ignore",
        )
    if len(labels.classes) > IGNORE_INDEX:
        raise UserError(
            f"there are {len(labels.classes)} classes, masks of 8 bits hold {IGNORE_INDEX}: is "
            f"{options.class_field!r} the field of the classes?"
        )
    labels.check_place(sheets)
    return labels


def _begin(out: Path, sheets: Sequence[Sheet], options: DatasetOptions) -> dict[str, Tile]:
    """Return the tiles that an interrupted call has made; `UserError` for another data set."""
    sources = [sheet.path for sheet in sheets]
    named = (options.labels, options.masks, options.colours, options.area)
    sources += [path for path in named if path]
    facts = [
        (os.path.abspath(p), os.stat(p).st_size, os.stat(p).st_mtime_ns)
        for p in sources
        if os.path.exists(p)
    ]
    job = json.dumps([facts, asdict(options)])
    digest = hashlib.sha256(job.encode()).hexdigest()
    journal = out / JOURNAL
    lines = journal.read_text().splitlines() if journal.is_file() else []
    if (not lines and (out / "images").exists()) or (lines and lines[0] != digest):
        raise UserError(
            f"{out}: it holds a data set of other scenes, labels or options; delete it, or choose "
            "another --out"
        )
    if not lines:
        write_whole(journal, f"{digest}\n".encode())
    tiles = {}
    for line in lines[1:]:
        try:
            tile = Tile(**json.loads(line))
        except ValueError:  # cut by the interruption
            continue
        tiles[tile.name] = tile
    if tiles:
        MMLogger.get_current_instance().info(f"going on: {len(tiles)} tiles are done")
    return tiles


def _make_tiles(
    tasks: Iterable, sheets: Sequence[Sheet], labels: Any, out: Path, done: dict[str, Tile]
) -> Iterator[Tile]:
    with (out / JOURNAL).open("a") as journal:
        for number, cell, window in tasks:
            sheet = sheets[number]
            name = f"{sheet.name}_{window.row_off}_{window.col_off}"
            if name in done:
                yield done[name]
                continue
            tile = _make_tile(Tile(name, number, cell), sheet, window, labels, out)
            journal.write("\n" + json.dumps(asdict(tile)))
            journal.flush()
            yield tile


def _make_tile(tile: Tile, sheet: Sheet, window: Window, labels: Any, out: Path) -> Tile:
    """Write image and mask of a tile, if it has both."""
    image, valid = sheet.read(window)
    ids, tile.overlap = labels.ids_of(sheet, window)
    ids[~valid] = IGNORE_INDEX
    values, counts = np.unique(ids[ids != IGNORE_INDEX], return_counts=True)
    tile.counts = dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))
    tile.left_out = not tile.counts
    if tile.left_out:
        return tile
    samples = image[:, valid].astype(np.float64)
    tile.pixels = samples.shape[1]
    tile.sums, tile.squares = samples.sum(1).tolist(), (samples**2).sum(1).tolist()
    write_geotiff(
        out / "images" / f"{tile.name}.tif",
        image.transpose(1, 2, 0),
        sheet.place(window),
        sheet.crs,
        names=sheet.bands,
        nodata=sheet.raster.nodatavals[sheet.numbers[0] - 1],
        valid=valid,
    )
    write_id_png(out / "masks" / f"{tile.name}.png", ids, distinct_colours(len(labels.classes)))
    return tile


def _finish(
    out: Path,
    sheets: Sequence[Sheet],
    labels: Any,
    options: DatasetOptions,
    tiles: Sequence[Tile],
    base: str,
) -> Table:
    """Split the tiles, and write lists, contact sheet and config; the config comes last."""
    logger = MMLogger.get_current_instance()
    counts = np.array([[t.counts.get(str(i), 0) for i in range(256)] for t in tiles if t.counts])
    classes = list(labels.classes)
    if not getattr(labels, "named", True):  # ids without names
        classes = classes[: int(np.flatnonzero(counts.sum(0)).max()) + 1]
    if (
        classes[-1] == BACKGROUND
        and labels.rest == len(classes) - 1
        and not counts[:, labels.rest].any()
    ):
        classes.pop()  # everything is labelled
    counts = counts[:, : len(classes)]
    split_of, what = _split(sheets, options, tiles, counts)
    logger.info(what)
    area = (sheets[0].gsd or 0) ** 2 / 10_000
    if overlap := sum(tile.overlap for tile in tiles):
        wins = f"the highest {options.order}" if options.order else "the last one in the file"
        size = f"{overlap * area:.4g} ha" if area else f"{overlap} pixels"
        logger.warning(f"polygons overlap on {size}: there {wins} counts")
    chosen = np.array([split_of[tile.name] for tile in tiles])
    for split in SPLITS:
        names = [t.name for t, own in zip(tiles, chosen, strict=True) if own == split]
        if names:
            write_whole(out / "splits" / f"{split}.txt", "".join(f"{n}\n" for n in names).encode())
    palette = distinct_colours(len(classes), [labels.colours.get(name) for name in classes])
    info: dict[str, Any] = {
        "classes": classes,
        "palette": palette,
        "bands": sheets[0].bands,
        "bits": sheets[0].bits,
    }
    if sheets[0].gsd:
        info["gsd"] = float(f"{sheets[0].gsd:.6g}")
    train = [tile for tile, split in zip(tiles, chosen, strict=True) if split == "train"]
    pixels = sum(tile.pixels for tile in train)
    mean = np.sum([tile.sums or [] for tile in train], 0) / pixels
    std = np.sqrt(
        np.maximum(np.sum([tile.squares or [] for tile in train], 0) / pixels - mean**2, 0)
    )
    write_image(out / "contact_sheet.png", contact_sheet_of(out, [t.name for t in train], info))
    text = config_text(base, info, mean, np.maximum(std, 1e-6), counts[chosen == "train"], options)
    write_whole(out / "config.py", text.encode())
    return _table(classes, labels.counts, counts, chosen, area)


def _split(
    sheets: Sequence[Sheet], options: DatasetOptions, tiles: Sequence[Tile], counts: np.ndarray
) -> tuple[dict[str, str], str]:
    """Return the split of each tile by its name, and how they were chosen."""
    groups = sheet_groups(sheets)
    kind = options.split or ("blocks" if len(set(groups)) < FEW_SHEETS else "sheets")
    per_block = max(1, (options.block or 2048) // options.size)

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
    names = {tile.name: split[unit] for tile, unit in zip(tiles, units(per_block), strict=True)}
    return names, f"{len(tiles)} tiles are split by {kind}{side}: {text}"


def _table(
    classes: Sequence[str], polygons: Counter, counts: np.ndarray, chosen: np.ndarray, area: float
) -> Table:
    table = Table("class", "polygons", "hectares" if area else "pixels", *SPLITS)
    totals = np.maximum(counts.sum(0), 1)
    for i, name in enumerate(classes):
        size = counts[:, i].sum()
        shares = [f"{counts[chosen == split, i].sum() / totals[i]:.0%}" for split in SPLITS]
        number = str(polygons[name]) if name in polygons else ""
        table.add_row(name, number, f"{size * area:,.2f}" if area else f"{size:,}", *shares)
    return table
