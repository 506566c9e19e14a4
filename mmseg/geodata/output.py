"""The files of a data set: tiles, a journal of those that are done, a picture and the config."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import MMLogger
from rasterio.windows import Window

from mmseg.config import load_config
from mmseg.config.check import TOP_LEVEL
from mmseg.datasets.class_weights import class_weights
from mmseg.datasets.classes import distinct_colours
from mmseg.errors import UserError
from mmseg.files import write_whole
from mmseg.geodata.labels import MaskLabels, PolygonLabels
from mmseg.geodata.options import DatasetOptions
from mmseg.geodata.sheets import Sheet, opened
from mmseg.imagery.bands import RGB, is_bgr
from mmseg.imagery.geotiff import write_geotiff
from mmseg.imagery.image import read_picture
from mmseg.imagery.mask import IGNORE_INDEX, read_mask
from mmseg.imagery.pictures import overlay, sheet, shrink, write_id_png

JOURNAL = ".tiles.jsonl"
COUNT, COLUMNS, SIDE = 24, 8, 192  # of the tiles on the contact sheet
Labels = PolygonLabels | MaskLabels
TITLE = '''"""{count} classes, bands {bands}. Made by tools/make_dataset.py; change it as you like.

Train with it: python tools/train.py CONFIG, where CONFIG is the path of this file.
"""

'''


@dataclass
class Tile:
    """What is known of a tile. Without `counts` it has no label or no image, and no files."""

    name: str
    sheet: int
    cell: tuple[int, int]
    counts: dict[str, int] = field(default_factory=dict)  # pixels by id
    overlap: int = 0  # pixels in several polygons
    pixels: int = 0  # that have an image
    sums: list[float] = field(default_factory=list)  # of each band over them
    squares: list[float] = field(default_factory=list)


def read_journal(out: Path, sources: Sequence[str], options: DatasetOptions) -> dict[str, Tile]:
    """Return the tiles in `out` of an interrupted call with these source files and options.

    Raises `UserError` if `out` holds another data set.
    """
    stats = [(os.path.abspath(p), os.stat(p)) for p in sources if os.path.exists(p)]
    facts = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    digest = hashlib.sha256(json.dumps([facts, asdict(options)]).encode()).hexdigest()
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
        with suppress(ValueError):  # the line was cut by the interruption
            tile = Tile(**json.loads(line))
            tiles[tile.name] = tile
    if tiles:
        MMLogger.get_current_instance().info(f"going on: {len(tiles)} tiles are done")
    return tiles


def make_tiles(
    tasks: Iterable, sheets: Sequence[Sheet], labels: Labels, out: Path, done: dict[str, Tile]
) -> Iterator[Tile]:
    """Yield the tile of each task (number of its sheet, cell, window); write those not done."""
    with (out / JOURNAL).open("a") as journal:
        for number, cell, window in tasks:
            name = f"{sheets[number].name}_{window.row_off}_{window.col_off}"
            if name in done:
                yield done[name]
                continue
            tile = _make_tile(Tile(name, number, cell), sheets[number], window, labels, out)
            journal.write("\n" + json.dumps(asdict(tile)))
            journal.flush()
            yield tile


def _make_tile(tile: Tile, sheet: Sheet, window: Window, labels: Labels, out: Path) -> Tile:
    """Write image and mask of a tile, if it has both."""
    image, valid = sheet.read(window)
    ids, tile.overlap = labels.ids_of(sheet, window)
    ids[~valid] = IGNORE_INDEX
    values, counts = np.unique(ids[ids != IGNORE_INDEX], return_counts=True)
    tile.counts = dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))
    if not tile.counts:
        return tile
    samples = image[:, valid].astype(np.float64)
    tile.pixels = samples.shape[1]
    tile.sums, tile.squares = samples.sum(1).tolist(), (samples**2).sum(1).tolist()
    place = opened(sheet.path).window_transform(window), sheet.crs
    path, pixels = out / "images" / f"{tile.name}.tif", image.transpose(1, 2, 0)
    write_geotiff(path, pixels, *place, names=sheet.bands, nodata=sheet.nodata, valid=valid)
    palette = distinct_colours([*map(labels.colours.get, labels.classes)])
    write_id_png(out / "masks" / f"{tile.name}.png", ids, palette)
    return tile


def mean_and_std(tiles: Sequence[Tile]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (C,) of all pixels of some tiles that have an image."""
    pixels = sum(tile.pixels for tile in tiles)
    mean = np.sum([tile.sums for tile in tiles], 0) / pixels
    square = np.sum([tile.squares for tile in tiles], 0) / pixels
    return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


def contact_sheet_of(out: Path, names: Sequence[str], info: Mapping) -> np.ndarray:
    """Draw up to `COUNT` tiles, evenly chosen, with their labels beside them and a legend."""
    pictures, captions = [], []
    for index in np.unique(np.linspace(0, len(names) - 1, min(len(names), COUNT)).astype(int)):
        image = shrink(read_picture(out / "images" / f"{names[index]}.tif", info), SIDE)
        ids = shrink(read_mask(out / "masks" / f"{names[index]}.png"), SIDE)
        pictures += [image, overlay(image.copy(), ids, info["palette"], 0.6)]
        captions += [names[index], "labels"]
    return sheet(pictures, captions, COLUMNS, info["classes"], info["palette"])


def config_text(
    base: str, info: Mapping, mean: np.ndarray, std: np.ndarray, counts: np.ndarray, options: Any
) -> str:
    """Return the text of the config.

    `base` gives model, schedule and run, `info` is the metainfo. `mean` and `std` (C,) are of the
    training images, `counts` (tiles, K) the pixels of their classes.
    """
    config = load_config(base)
    bands, values = list(info["bands"]), {"mean": _rounded(mean), "std": _rounded(std)}
    size = (options.size, options.size)
    model = config.model
    model.data_preprocessor.update(size=size, bgr_to_rgb=is_bgr(bands, info["bits"]), **values)
    model.backbone.in_channels = len(bands)
    if model.backbone.get("init_cfg") and tuple(bands) != RGB:
        model.backbone.init_cfg.bands = bands
    model.decode_head.num_classes = len(info["classes"])
    weights = _rounded(class_weights(counts, "inverse_log"))
    losses = model.decode_head.loss_decode
    for loss in losses if isinstance(losses, list) else [losses]:
        loss.class_weight = weights
    load = {"type": "LoadImageFromFile", "fill": values["mean"]}
    train = [step for step in config.train_dataloader.dataset.pipeline if step.type != load["type"]]
    for step in train:
        if step.type == "RandomScaleCropFlip":
            step.update(scale=None, crop_size=size)
    if "gsd" in info:  # photos have an upper side, scenes have none
        train.insert(-1, {"type": "RandomTurn"})
    own_size = {"type": "Resize", "scale_factor": 1.0, "keep_ratio": True}
    test = [load, own_size, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}]
    dataset = {"type": "BaseSegDataset", "data_root": "{{ fileDirname }}", "metainfo": dict(info)}
    prefix = {"img_path": "images", "seg_map_path": "masks"}
    dataset |= {"data_prefix": prefix, "img_suffix": ".tif"}
    last = "test" if options.test > 0 else "val"
    for name, split in (("train", "train"), ("val", "val"), ("test", last)):
        pipeline = [load, *train] if name == "train" else test
        files = {"ann_file": f"splits/{split}.txt", "test_mode": name != "train"}
        config[f"{name}_dataloader"].dataset = {**dataset, **files, "pipeline": pipeline}
    title = TITLE.format(count=len(info["classes"]), bands=", ".join(bands))
    return title + Config({k: v for k, v in config.items() if k in TOP_LEVEL}).pretty_text


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
