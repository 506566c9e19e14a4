"""Map orthophotos of any size: python tools/map_orthophoto.py CONFIG CHECKPOINT SCENE... --out DIR

Writes for every scene <out>/<name>.landcover.tif, a georeferenced map of the classes; see
docs/mapping.md. After an interruption the same command goes on. Processes started with torchrun
share the work. An exported file (.onnx or .xml) takes the place of CONFIG and CHECKPOINT.
"""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common import (
    add_inference_flags,
    add_rank_flag,
    config_parser,
    console,
    leave_group,
    open_model,
    parse_model_args,
)

import torch
from mmengine.dist import get_rank
from mmengine.logging import MMLogger
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from mmseg.apis import default_device
from mmseg.errors import UserError, one_line_errors
from mmseg.evaluation.confusion import scores
from mmseg.evaluation.report import render_table, score_table
from mmseg.raster import MapOptions, SceneMap, Sheets, find_scenes, map_scene, write_index
from mmseg.raster.options import VECTORS


def parse_args() -> argparse.Namespace:
    parser = config_parser(__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument(
        "scenes", nargs="+", metavar="SCENE", help="rasters, folders of them, or /vsi paths"
    )
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--overlap", type=float, help="of windows, 0 to 0.5")
    parser.add_argument("--batch-size", type=int, help="windows predicted at a time")
    parser.add_argument("--bands", type=int, nargs="+", metavar="N", help="of the model's bands")
    parser.add_argument(
        "--scale", type=float, nargs=2, metavar=("LOW", "HIGH"), help="16-bit values for 0 and 255"
    )
    parser.add_argument("--nodata", type=float, help="value of pixels without image")
    parser.add_argument("--alpha", type=int, metavar="BAND", help="0 where there is no image")
    parser.add_argument("--no-alpha", dest="alpha", action="store_const", const=0, help="take none")
    parser.add_argument("--gsd", type=float, help="metres per pixel that the model was trained at")
    parser.add_argument("--aoi", metavar="FILE", help="polygons; the rest is not mapped")
    parser.add_argument("--vectors", choices=VECTORS, help="also write polygons, in this format")
    parser.add_argument(
        "--polygons", dest="vectors", action="store_const", const="gpkg", help="--vectors gpkg"
    )
    parser.add_argument(
        "--simplify", type=float, metavar="METRES", help="the edges of polygons by about so much"
    )
    parser.add_argument("--min-area", type=float, help="of polygons, in m2")
    parser.add_argument("--confidence", action="store_true", help="also of the winning class")
    parser.add_argument("--probabilities", action="store_true", help="also of each class")
    parser.add_argument("--truth", metavar="MASK", help="mask of the scene, or a folder of them")
    parser.add_argument("--device", help="cuda:0 or cpu; the first GPU if there is one")
    add_inference_flags(parser)
    add_rank_flag(parser)
    parser.set_defaults(**vars(MapOptions()))
    return parse_model_args(parser)


def join_group() -> str:
    """Join the processes that torchrun started, if any; return this one's device."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return default_device()
    # The processes only wait for each other, and the first one may write products for a long time.
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(days=7))
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"


@one_line_errors
def main() -> None:
    try:
        map_scenes(parse_args())
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")


def map_scenes(args: argparse.Namespace) -> None:
    options = MapOptions(**{name: getattr(args, name) for name in vars(MapOptions())})
    device = join_group()
    scenes = find_scenes(args.scenes)
    model = open_model(args, device, scores=True)
    logger = MMLogger.get_current_instance()
    if get_rank() != 0:
        logger.setLevel("WARNING")
    failed, maps = [], []
    sheets = Sheets(scenes)
    for scene in scenes:
        try:
            truth = args.truth
            if truth is not None and Path(truth).is_dir():
                truth = str(Path(truth) / Path(scene).name)
            with progress_bar() as bar:
                task = bar.add_task(Path(scene).stem, speed=0, visible=False)
                show = partial(show_progress, bar, task)
                result = map_scene(model, scene, args.out, options, truth, show, sheets)
        except UserError as error:  # in all processes
            if len(scenes) == 1:
                raise
            if get_rank() == 0:
                logger.error(f"{error}; the next scene is mapped")
            failed.append(scene)
        else:
            if result is not None:  # the first process
                maps.append(result)
                report(result, scene, model.dataset_meta["classes"])
    if len(maps) > 1:
        write_index(maps, model.dataset_meta)
    leave_group()
    logger.info(
        "the hectares in *.areas.csv are counted pixels, which the errors of the map bias: "
        "tools/estimate_areas.py corrects them and gives intervals"
    )
    if failed:
        raise UserError(f"{len(failed)} of {len(scenes)} scenes not mapped: {', '.join(failed)}")


def report(result: SceneMap, scene: str, classes: Sequence[str]) -> None:
    """Log how well the map agrees with the truth, if there is one."""
    if result.confusion is not None:
        logger = MMLogger.get_current_instance()
        rows = [[name, *row] for name, row in zip(classes, result.confusion, strict=True)]
        logger.info(render_table(["truth \\ map", *classes], rows, title=scene))
        logger.info("\n" + score_table(scores(result.confusion), classes, ["mIoU"]))


def progress_bar() -> Progress:
    # Without a terminal, whose width is known, the columns would wrap to several lines.
    whole, text = partial(Column, no_wrap=True), "{task.completed:.0f}/{task.total:.0f} windows"
    columns = (
        TextColumn("{task.description}", table_column=whole(max_width=24)),
        BarColumn(bar_width=12),
        TextColumn(f"{text}, {{task.fields[speed]:.1f}}/s", table_column=whole()),
        TimeRemainingColumn(table_column=whole()),
    )
    return Progress(*columns, console=console, disable=get_rank() != 0)


def show_progress(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total, visible=True)
    bar.update(task, speed=bar.tasks[task].speed or 0)


if __name__ == "__main__":
    main()
