"""Map orthophotos of any size: python tools/map_orthophoto.py CONFIG CHECKPOINT SCENE... --out DIR

Writes for every scene <out>/<name>.landcover.tif, a georeferenced map of the classes; see
docs/mapping.md. After an interruption the same command goes on. Processes started with torchrun
share the work. An exported file (.onnx or .xml) or hf-hub:OWNER/NAME stands for CONFIG CHECKPOINT.
"""

import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import common

import torch
from mmengine.dist import get_rank
from mmengine.logging import MMLogger

from mmseg.apis import default_device
from mmseg.errors import UserError, one_line_errors
from mmseg.evaluation.confusion import scores
from mmseg.evaluation.report import render_table, score_table
from mmseg.raster import MapOptions, SceneMap, Sheets, find_scenes, map_scene, write_index


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
    parser = common.tool_parser(__doc__, *common.MODEL)
    add, text = parser.add_argument, "rasters, folders of them, or /vsi paths"
    add("scenes", nargs="+", metavar="SCENE", help=text)
    add("--out", required=True, metavar="DIR")
    add("--truth", metavar="MASK", help="mask of the scene, or a folder of them")
    common.add_fields(parser, MapOptions)
    add("--polygons", dest="vectors", action="store_const", const="gpkg", help="--vectors gpkg")
    add("--no-alpha", dest="alpha", action="store_const", const=0, help="take none")
    try:
        map_scenes(common.parse_model_args(parser))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from here")


def map_scenes(args) -> None:
    options = common.read_fields(args, MapOptions)
    device = join_group()
    scenes = find_scenes(args.scenes)
    model = common.open_model(args, device, scores=True)
    logger = MMLogger.get_current_instance()
    if get_rank() != 0:
        logger.setLevel("WARNING")
    failed, maps, sheets = [], [], Sheets(scenes)
    for scene in scenes:
        truth = args.truth
        if truth is not None and Path(truth).is_dir():
            truth = str(Path(truth) / Path(scene).name)
        try:
            with common.progress_bar(get_rank() == 0) as bar:
                row = bar.add_task(Path(scene).stem, total=None)

                def show(done: int, total: int, bar=bar, row=row) -> None:
                    bar.update(row, completed=done, total=total)

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
    common.leave_group()
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


if __name__ == "__main__":
    main()
