"""map_scene: from a scene of any size to a finished, georeferenced map of its classes.

The scene is read in rows of overlapping windows. Each row adds to the class probabilities of its
pixels. Rows of pixels that no later window touches are written as a strip. The strips become the
map.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import rasterio
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.logging import MMLogger
from rasterio.errors import NotGeoreferencedWarning

import mmseg
from mmseg.errors import UserError
from mmseg.files import cannot_be_written
from mmseg.lock import sole_process
from mmseg.raster.georeference import ground_resolution
from mmseg.raster.measure import ClassAreas, check_truth, compare
from mmseg.raster.options import MapOptions
from mmseg.raster.products import Products
from mmseg.raster.scene import Scene
from mmseg.raster.sheets import Ground, Sheets
from mmseg.raster.strip_mapper import Grid, Progress, SceneModel, StripMapper, WindowPredictor
from mmseg.raster.unfinished import START_AGAIN

# The model's pixels may be so many times larger or smaller than those of the scene. Beyond that, a
# window would take gigabytes or a few pixels, and the gsd is in another unit than metres.
MOST_RESAMPLING = 32
# A scene whose pixels differ less from those of the training is not resampled.
SAME_GSD = 0.1
# GDAL's cache of blocks, in bytes. By default it takes 5 % of the machine's memory.
CACHE = 2**28


@dataclass(frozen=True)
class SceneMap:
    """A finished map: its file, the area of each class and, given the truth, the confusion matrix.

    The matrix is int64 (K, K), with a row for each class of the truth.
    """

    path: Path
    areas: ClassAreas
    confusion: np.ndarray | None


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
    touch it. Raises `UserError`, in all processes, if the scene or the truth cannot be
    read, if the outputs cannot be written, or if they are those of another scene.
    """
    options, out = options or MapOptions(), Path(out)
    with rasterio.Env(GDAL_CACHEMAX=CACHE), warnings.catch_warnings():
        # Strips have no georeference. If the scene has none, the log says so.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with fail_together(out):
            shown = os.fsencode(scene).decode(errors="replace")
            if shown != str(scene):
                raise UserError(f"{shown}: the name of the scene is not UTF-8: rename the file")
            opened = open_scene(model, scene, options)
            if truth:
                check_truth(truth, opened, model.dataset_meta)
            ground = (sheets or Sheets([])).ground(
                opened, lambda path: open_scene(model, path, options)
            )
            products = Products(opened, out, model.dataset_meta, options)
        _map(model, ground, products, options, progress)
        with fail_together(out):
            if get_rank() != 0:
                return None
            map_path = str(products.map_path)
            matrix = None
            if truth:
                products.draw_truth(truth)
                matrix = compare(map_path, truth, model.dataset_meta)
            return SceneMap(products.map_path, products.areas(), matrix)


def open_scene(model: SceneModel, scene: str | Path, options: MapOptions) -> Scene:
    """Open a scene with the bands and bits of the model's training images.

    If these have names, pixels without image get the mean of the training, as they did there.
    """
    fill = None
    if model.dataset_meta.get("bands"):
        mean = model.data_preprocessor.mean.flatten().cpu().numpy()
        fill = mean if model.dataset_meta.get("bits") == "float32" else np.rint(mean)
    return Scene(scene, options, model.dataset_meta, fill)


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


def _map(
    model: SceneModel, ground: Ground, products: Products, options: MapOptions, progress: Progress
) -> None:
    scene = ground.scene
    logger, start, is_first = MMLogger.get_current_instance(), perf_counter(), get_rank() == 0
    out, unfinished = products.out, products.unfinished
    with fail_together(out):
        predictor = WindowPredictor(model)
        gsd = options.gsd or _stored_gsd(scene, model.dataset_meta.get("gsd"))
        grid = _grid(ground, predictor.crop_size, options, gsd)
        job = _describe_job(ground, model, grid, options)
        # A finished map is finished, whatever computed it.
        content = {key: value for key, value in job.items() if key != "engine"}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        is_finished = products.are_finished(digest)
        if is_finished and is_first and unfinished.job == job:
            unfinished.clear()  # a run that finished was killed before it could do that
        if not is_finished:
            products.check_scene()
    if is_finished:
        logger.info(f"{products.map_path} is finished already; delete it to map the scene again")
        return
    with ExitStack() as held:
        with fail_together(out):
            held.enter_context(sole_process(unfinished.folder, "maps this scene", "--out"))
            if is_first:
                unfinished.prepare(job)
                logger.info(_introduction(scene, grid, options, gsd))
                if warning := scene.gaps():
                    logger.warning(warning)
        with fail_together(out):
            # Each process has about as many strips as every other.
            ends = [grid.rows.count * (get_rank() + i) // get_world_size() for i in (0, 1)]
            strips = range(*ends)
            missing = [index for index in strips if not unfinished.has(index)]
            if done := len(strips) - len(missing):
                logger.info(f"going on: {done} of {len(strips)} strips are done")
            StripMapper(ground, grid, predictor, unfinished).map(missing, progress)
        with fail_together(out):
            if is_first:
                products.write(grid.rows, ground, digest)
                seconds = perf_counter() - start
                share = f"{100 * predictor.seconds / seconds:.1f} % of {seconds:.1f} s"
                logger.info(f"{products.map_path}: the model took {share}")
    if is_first:
        unfinished.clear()


def _stored_gsd(scene: Scene, gsd: float | None) -> float | None:
    """Return the gsd of the training if that of the scene differs by more than a tenth."""
    if gsd is None or not scene.is_measurable:
        return None
    sides = ground_resolution(scene.transform, scene.crs, scene.height, scene.width)
    return gsd if any(abs(side / gsd - 1) > SAME_GSD for side in sides) else None


def _grid(
    ground: Ground, crop_size: tuple[int, int], options: MapOptions, gsd: float | None
) -> Grid:
    """Lay windows that cover the same ground as the model's crop."""
    scene, (height, width) = ground.scene, crop_size
    if gsd is not None:
        if not scene.is_measurable:
            raise UserError(f"{scene.path}: its place is unknown, so its resolution; omit the gsd")
        down, across = ground_resolution(scene.transform, scene.crs, scene.height, scene.width)
        if not 1 / MOST_RESAMPLING <= gsd / across <= MOST_RESAMPLING:
            raise UserError(
                f"{scene.path}: its pixels are {across:g} m wide, the gsd is {gsd:g} m: "
                f"they may differ {MOST_RESAMPLING}-fold; give metres"
            )
        height = max(1, round(height * gsd / down))
        width = max(1, round(width * gsd / across))
    return Grid(*ground.lay(height, width, options.overlap), options.batch_size)


def _describe_job(ground: Ground, model: SceneModel, grid: Grid, options: MapOptions) -> dict:
    """Return the facts that strips depend on, as JSON gives them. Strips of equal jobs fit."""
    weights = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        weights.update(name.encode())
        weights.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    threads = torch.get_num_threads()
    job = {
        "version": mmseg.__version__,
        "scene": ground.scene.identity(),
        "neighbours": [
            [sheet.identity(), row, column] for sheet, row, column in ground.sheets[:-1]
        ],
        "place": [ground.top, ground.left],
        "engine": getattr(model, "runs_in", f"torch {torch.__version__}, {threads} threads"),
        "model": [weights.hexdigest(), str(model.cfg.model)],
        "classes": [model.dataset_meta[key] for key in ("classes", "palette")],
        "grid": asdict(grid),
        "options": asdict(options),
    }
    return json.loads(json.dumps(job))


def _introduction(scene: Scene, grid: Grid, options: MapOptions, gsd: float | None) -> str:
    rows, columns = grid.rows, grid.columns
    lines = [
        f"{scene.path}: {scene.width} x {scene.height} pixels, bands {scene.bands}, "
        f"{rows.count} x {columns.count} windows of {columns.size} x {rows.size} pixels, about "
        f"{1 - scene.sample[1].mean():.1%} nodata",
        *scene.notes,
    ]
    if gsd is not None and options.gsd is None:
        down, across = ground_resolution(scene.transform, scene.crs, scene.height, scene.width)
        lines.append(
            f"its pixels are {across:g} x {down:g} m, those of the training {gsd:g} m: it is "
            "resampled to these (--gsd overrides)"
        )
    if not scene.is_measurable:
        why = "no CRS, a local one, or no transform"
        lines.append(f"its place is unknown ({why}): areas are in pixels, without polygons")
    if scene.aoi and not scene.aoi.shapes:
        lines.append("the area of interest lies elsewhere: nothing is mapped")
    if scene.ranges is not None:
        ranges = ", ".join(f"{low:g} to {high:g}" for low, high in scene.ranges)
        lines.append(f"16-bit samples scaled to 0 to 255, by band: {ranges}")
    elif options.scale:
        lines.append("its samples have 8 bits and are not scaled")
    return "; ".join(lines)
