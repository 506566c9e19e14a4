"""map_scene: from a scene of any size to a finished, georeferenced map of its classes.

The scene is read in rows of overlapping windows. Each row adds to the class probabilities of its
pixels. Rows of pixels that no later window touches are written as a strip. The strips become the
map.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import rasterio
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.logging import MMLogger

import mmseg
from mmseg.errors import UserError
from mmseg.files import cannot_be_written, sole_process
from mmseg.raster.measure import SceneMap, check_truth
from mmseg.raster.options import MapOptions
from mmseg.raster.products import Products
from mmseg.raster.scene import Scene
from mmseg.raster.sheets import Ground, Sheets
from mmseg.raster.strip_mapper import Progress, SceneModel, StripMapper
from mmseg.raster.strips import START_AGAIN, STRIP_FORMAT

# The model's pixels may be so many times larger or smaller than those of the scene. Beyond that, a
# window would take gigabytes or a few pixels, and the gsd is in another unit than metres.
MOST_RESAMPLING = 32
# A scene whose pixels differ less from those of the training is not resampled.
SAME_GSD = 0.1
# GDAL's cache of blocks, in bytes. By default it takes 5 % of the machine's memory.
CACHE = 2**28


def map_scene(
    model: SceneModel,
    scene: str | Path,
    out: str | Path,
    options: MapOptions | None = None,
    truth: str | None = None,
    progress: Progress = lambda done, total: None,
    sheets: Sheets | None = None,
) -> SceneMap | None:
    """Map the classes of `model` on a scene, anything that GDAL opens, into the folder `out`.

    Writes `<name>.landcover.tif` and the other files that `options` ask for. Each file appears when
    it is whole. After an interruption, the same call goes on with the strips that are missing. The
    processes of a group share the strips; all but the first return None.

    `model` is a model of `mmseg.apis.init_model`. `truth` is a mask of the scene with the values of
    the data set's masks. Windows read over the border of the scene into those of `sheets` that
    touch it. Raises `UserError`, in all processes, if the scene or the truth cannot be read, if the
    outputs cannot be written, or if they are those of another scene.
    """
    options, out = options or MapOptions(), Path(out)
    if options.batch_size is None:
        options = replace(options, batch_size=4 if next(iter(model.parameters())).is_cuda else 1)
    with rasterio.Env(GDAL_CACHEMAX=CACHE):
        with fail_together(out):
            open_scene = partial(_open_scene, model, options)
            opened = open_scene(scene)
            if truth:
                check_truth(truth, opened, model.dataset_meta)
            size = _window_size(opened, model, options)
            ground = (sheets or Sheets([])).ground(opened, open_scene, size, options.overlap)
            job = _describe_job(ground, model, options)
            products = Products(ground, out, model.dataset_meta, options, job)
            is_finished = products.are_finished()
        if is_finished:
            MMLogger.get_current_instance().info(
                f"{products.map_path} is finished already; delete it to map the scene again"
            )
        else:
            _map(products, model, progress)
        with fail_together(out):
            if get_rank() != 0:
                return None
            if products.unfinished.job == job:  # also that of a run which was killed just here
                products.unfinished.clear()
            return products.measure(truth)


def _open_scene(model: SceneModel, options: MapOptions, scene: str | Path) -> Scene:
    """Open a scene with the bands and bits of the model's training images.

    If these have names, pixels without image get the mean of the training, as they did there.
    """
    shown = os.fsencode(scene).decode(errors="replace")
    if shown != str(scene):
        raise UserError(f"{shown}: the name of the scene is not UTF-8: rename the file")
    opened = Scene(scene, options, model.dataset_meta)
    if opened.band_names:
        mean = model.data_preprocessor.mean.flatten().cpu().numpy()
        opened.fill = mean if opened.bits == "float32" else np.rint(mean)
    return opened


@contextmanager
def fail_together(out: Path) -> Iterator[None]:
    """Wait for all processes at the end of a step. If it fails in one process, it fails in all."""
    problem = None
    try:
        yield
    except UserError as error:
        problem = error
    except OSError as error:
        problem = cannot_be_written(out, error, START_AGAIN)
        problem.__cause__ = error
    problems = [p for p in all_gather_object(problem) if p is not None]
    if problems:
        raise problem or problems[0]


def _map(products: Products, model: SceneModel, progress: Progress) -> None:
    """Map the strips that are missing, and make the products of all."""
    logger, start = MMLogger.get_current_instance(), perf_counter()
    ground, unfinished = products.ground, products.unfinished
    with ExitStack() as held:
        with fail_together(products.out):
            products.check_scene()
            held.enter_context(sole_process(unfinished.folder, "maps this scene", "--out"))
            if get_rank() == 0:
                unfinished.prepare(products.job)
                logger.info(_introduction(ground))
                if warning := ground.scene.gaps():
                    logger.warning(warning)
        with fail_together(products.out):
            # Each process has about as many strips as every other.
            count = ground.rows.count
            strips = range(*(count * (get_rank() + i) // get_world_size() for i in (0, 1)))
            missing = [index for index in strips if not unfinished.strip(index).is_file()]
            if done := len(strips) - len(missing):
                logger.info(f"going on: {done} of {len(strips)} strips are done")
            mapper = StripMapper(model, products)
            mapper.map(missing, progress)
        with fail_together(products.out):
            if get_rank() == 0:
                products.write()
                share = mapper.seconds / (perf_counter() - start)
                logger.info(f"{products.map_path}: the model took {share:.1%} of the time")


def _window_size(scene: Scene, model: SceneModel, options: MapOptions) -> tuple[int, int]:
    """Return height and width of the windows that cover the same ground as the model's crop."""
    size = getattr(model.data_preprocessor, "size", None)
    if size is None:
        raise UserError("the config lacks the crop: model.data_preprocessor.size=(height,width)")
    gsd, stored = options.gsd, model.dataset_meta.get("gsd")
    if scene.resolution is None:
        if gsd is not None:
            raise UserError(f"{scene.path}: its place is unknown, so its resolution; omit the gsd")
        return size
    down, across = scene.resolution
    if gsd is None and stored and max(abs(down / stored - 1), abs(across / stored - 1)) > SAME_GSD:
        gsd = stored
        scene.notes.append(
            f"its pixels are {across:g} x {down:g} m, those of the training {gsd:g} m: it is "
            "resampled to these (--gsd overrides)"
        )
    if gsd is None:
        return size
    if not 1 / MOST_RESAMPLING <= gsd / across <= MOST_RESAMPLING:
        raise UserError(
            f"{scene.path}: its pixels are {across:g} m wide, the gsd is {gsd:g} m: "
            f"they may differ {MOST_RESAMPLING}-fold; give metres"
        )
    return max(1, round(size[0] * gsd / down)), max(1, round(size[1] * gsd / across))


def _describe_job(ground: Ground, model: SceneModel, options: MapOptions) -> dict:
    """Return the facts that strips depend on, as JSON gives them. Strips of equal jobs fit."""
    weights = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    threads, chosen = torch.get_num_threads(), asdict(options)
    runs_in = getattr(model, "runs_in", f"torch {torch.__version__}, {threads} threads")
    job = {
        "version": mmseg.__version__,
        "scene": ground.scene.identity(),
        "neighbours": [[sheet.identity(), *place] for sheet, *place in ground.sheets[:-1]],
        "place": [ground.top, ground.left],
        "engine": [runs_in, chosen.pop("batch_size"), STRIP_FORMAT],
        "model": [weights.hexdigest(), str(model.cfg.model)],
        "classes": [model.dataset_meta[key] for key in ("classes", "palette")],
        "grid": [asdict(ground.rows), asdict(ground.columns)],
        "options": chosen,
    }
    return json.loads(json.dumps(job))


def _introduction(ground: Ground) -> str:
    scene, rows, columns = ground.scene, ground.rows, ground.columns
    lines = [
        f"{scene.path}: {scene.width} x {scene.height} pixels, bands {scene.bands}, "
        f"{rows.count} x {columns.count} windows of {columns.size} x {rows.size} pixels, about "
        f"{1 - scene.sample[1].mean():.1%} nodata",
        *scene.notes,
    ]
    if scene.ranges is not None:
        ranges = ", ".join(f"{low:g} to {high:g}" for low, high in scene.ranges)
        lines.append(f"16-bit samples scaled to 0 to 255, by band: {ranges}")
    return "; ".join(lines)
